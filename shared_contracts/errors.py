"""The codes of every problem that Callout answers, over REST and over the socket.

A code never changes its meaning; clients switch on it. The HTTP status beside it is the one REST answers.
"""

from enum import StrEnum


class ErrorCode(StrEnum):
    # 400: the request cannot be read
    MALFORMED = "malformed"
    # 401
    NOT_AUTHENTICATED = "not_authenticated"
    INVALID_CREDENTIALS = "invalid_credentials"
    INVALID_TOKEN = "invalid_token"  # noqa: S105 - a code, not a secret
    OTP_REQUIRED = "otp_required"
    # 403
    FORBIDDEN = "forbidden"
    PROOF_REQUIRED = "proof_required"
    # 404
    NOT_FOUND = "not_found"
    # 405, 406, 413, 415
    METHOD_NOT_ALLOWED = "method_not_allowed"
    TOO_LARGE = "too_large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    # 409: the state of things does not allow it
    INVALID_STATE = "invalid_state"
    CONFLICT = "conflict"
    ALREADY_ACCEPTED = "already_accepted"
    ALREADY_RATED = "already_rated"
    ASSISTANT_BUSY = "assistant_busy"
    NOT_ON_DUTY = "not_on_duty"
    POSITION_UNKNOWN = "position_unknown"
    LICENCE_EXPIRED = "licence_expired"
    LICENCE_NOT_APPROVED = "licence_not_approved"
    OFFER_GONE = "offer_gone"
    OPEN_REQUEST_EXISTS = "open_request_exists"
    QUOTE_EXPIRED = "quote_expired"
    TARIFF_MISSING = "tariff_missing"
    CONVERSATION_CLOSED = "conversation_closed"
    SLOT_TAKEN = "slot_taken"
    NOT_AVAILABLE = "not_available"
    RESOURCE_IN_USE = "resource_in_use"
    TOO_MANY = "too_many"
    CONVERSATION_OF_TWO = "conversation_of_two"
    CONVERSATION_FULL = "conversation_full"
    CONVERSATION_LEFT = "conversation_left"
    MESSAGE_FIXED = "message_fixed"
    TOO_MANY_ATTACHMENTS = "too_many_attachments"
    EMAIL_TAKEN = "email_taken"
    PHONE_TAKEN = "phone_taken"
    USERNAME_TAKEN = "username_taken"
    ROLE_HELD = "role_held"
    TOO_MANY_ADDRESSES = "too_many_addresses"
    NO_FINISHED_WORK = "no_finished_work"
    CATEGORY_IN_USE = "category_in_use"
    CATEGORY_EXISTS = "category_exists"
    ALREADY_REPLIED = "already_replied"
    ALREADY_REPORTED = "already_reported"
    TOO_MANY_SERVICES = "too_many_services"
    TOO_MANY_PICTURES = "too_many_pictures"
    REQUEST_IN_FLIGHT = "request_in_flight"
    ACCOUNT_IN_USE = "account_in_use"
    TWO_FACTOR_ON = "two_factor_on"
    TWO_FACTOR_OFF = "two_factor_off"
    # 412
    PRECONDITION_FAILED = "precondition_failed"
    # 422: readable, but not valid
    VALIDATION_FAILED = "validation_failed"
    UNKNOWN_FIELD = "unknown_field"
    UNKNOWN_FILTER = "unknown_filter"
    UNKNOWN_REFERENCE = "unknown_reference"
    INVALID_CODE = "invalid_code"
    INVALID_IMAGE = "invalid_image"
    INVALID_DOCUMENT = "invalid_document"
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused"
    # 429
    RATE_LIMITED = "rate_limited"
    # 500, 503
    INTERNAL_ERROR = "internal_error"
    UNAVAILABLE = "unavailable"
    # only over the socket
    UNKNOWN_ROOM = "unknown_room"
    NOT_JOINED = "not_joined"
    UNKNOWN_COMMAND = "unknown_command"
    TOO_MANY_SOCKETS = "too_many_sockets"
    TOO_MANY_ROOMS = "too_many_rooms"
    SLOW_CONSUMER = "slow_consumer"
    SESSION_ENDED = "session_ended"
    TOKEN_EXPIRED = "token_expired"  # noqa: S105 - a code, not a secret
    SERVER_DRAINING = "server_draining"
    RESYNC_REQUIRED = "resync_required"
