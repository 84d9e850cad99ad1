"""Who may do what in the catalogue."""

from tests.architecture.authorisation.rules import MANAGERS, PICTURE, File, Rule, any_user, only, public

PROVIDERS = "assistant rival other_assistant freelancer"
CLIENTS = "client other_client"
SERVICE = {"title": "Tap", "price": {"amount": "10.00", "currency": "DZD"}}


def owners(method: str, path: str, body: object = None) -> Rule:
    """For the freelancer whose service it is, and managers; everybody sees it, nobody else changes it."""
    return only("freelancer manager admin", method, path, body)


def own_item(method: str, path: str, body: object = None) -> Rule:
    """For the freelancer whose it is; to other providers it does not exist, the others have none at all."""
    return only("freelancer", method, path, body, assistant=404, rival=404, other_assistant=404)


TABLE = {
    "listCategories": public("GET", "/categories/"),
    "addCategory": only(MANAGERS, "POST", "/categories/", {"name": "Roofs"}),
    "updateCategory": only(MANAGERS, "PATCH", "/categories/{category}/", {"name": "Roofs"}),
    "deleteCategory": only(MANAGERS, "DELETE", "/categories/{category}/"),
    "listServices": public("GET", "/services/"),
    "addService": only(PROVIDERS, "POST", "/services/", SERVICE),
    "readService": public("GET", "/services/{service}/"),
    "replaceService": owners("PUT", "/services/{service}/", SERVICE),
    "updateService": owners("PATCH", "/services/{service}/", {"title": "Drain"}),
    "archiveService": owners("DELETE", "/services/{service}/"),
    "listProviders": public("GET", "/providers/"),
    "readProvider": public("GET", "/providers/{provider}/"),
    "readMyProvider": only(PROVIDERS, "GET", "/me/provider/"),
    "replaceMyProvider": only(PROVIDERS, "PUT", "/me/provider/", {"business_name": "Tapworks"}),
    "updateMyProvider": only(PROVIDERS, "PATCH", "/me/provider/", {"business_name": "Tapworks"}),
    "listMyPortfolio": only(PROVIDERS, "GET", "/me/portfolio/"),
    "addToMyPortfolio": only(PROVIDERS, "POST", "/me/portfolio/", File(PICTURE, (("title", "A roof"),), "image")),
    "updateMyPortfolio": own_item("PATCH", "/me/portfolio/{item}/", {"title": "A roof"}),
    "deleteFromMyPortfolio": own_item("DELETE", "/me/portfolio/{item}/"),
    "listReviews": public("GET", "/providers/{provider}/reviews/"),
    "reviewProvider": only(CLIENTS, "POST", "/providers/{provider}/reviews/", {"rating": 4}, client=409),
    "replyToReview": only("freelancer", "POST", "/reviews/{review}/reply/", {"reply": "Thank you."}),
    "reportReview": any_user("POST", "/reviews/{review}/report/", {"reason": "Not true."}),
    "removeReview": only(MANAGERS, "DELETE", "/reviews/{review}/"),
}
