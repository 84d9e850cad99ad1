"""Who may do what in messaging: the client has opened a group with the assistant and a guest, and said something."""

from tests.architecture.authorisation.rules import MESSAGE, PICTURE, File, Rule, any_user, party
from tests.support.world import IdOf

ONE = "/conversations/{conversation}/"

TABLE = {
    "listConversations": any_user("GET", "/conversations/"),
    "openConversation": any_user("POST", "/conversations/", {"participants": [IdOf("guest")], "title": "Kitchen"}),
    "readConversation": party("GET", ONE, manager=404, admin=404),
    "listMessages": party("GET", f"{ONE}messages/", manager=404, admin=404),
    "sendMessage": party("POST", f"{ONE}messages/", MESSAGE, manager=404, admin=404),
    "markConversationRead": party("POST", f"{ONE}read/", {"message_id": None}, manager=404, admin=404),
    "markConversationDelivered": party("POST", f"{ONE}delivered/", {"message_id": None}, manager=404, admin=404),
    "addConversationMembers": party("POST", f"{ONE}members/", {"user_ids": [IdOf("guest")]}, manager=404, admin=404),
    "removeConversationMember": party("DELETE", f"{ONE}members/{{user}}/", assistant=403, manager=404, admin=404),
    "muteConversation": party("PUT", f"{ONE}mute/", manager=404, admin=404),
    "unmuteConversation": party("DELETE", f"{ONE}mute/", manager=404, admin=404),
    "listMyMessages": any_user("GET", "/messages/"),
    "readMessage": party("GET", "/messages/{message}/", manager=404, admin=404),
    "editMessage": party("PATCH", "/messages/{message}/", {"content": "Hi"}, assistant=403, manager=404, admin=404),
    "deleteMessage": party("DELETE", "/messages/{message}/", assistant=403, manager=404, admin=404),
    "addAttachment": any_user("POST", "/attachments/", File(PICTURE)),
    "blockUser": Rule("POST", "/users/{user}/block/", exceptions=(("client", 422),)),
    "unblockUser": any_user("DELETE", "/users/{user}/block/"),
    "listMyBlocks": any_user("GET", "/me/blocks/"),
}
