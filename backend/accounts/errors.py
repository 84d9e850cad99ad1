"""What may stand in the way of signing up, in, and of changing oneself."""

from backend.core.errors import Forbidden, NotAuthenticated, Problem, ValidationFailed
from shared_contracts.errors import ErrorCode


class InvalidCredentials(NotAuthenticated):
    """The same for an unknown account, a wrong password, a role that is not held and an inactive account."""

    code, title = ErrorCode.INVALID_CREDENTIALS, "No account matches this identifier and password."


class EmailTaken(Problem):
    code, title = ErrorCode.EMAIL_TAKEN, "Another account has this e-mail address."


class PhoneTaken(Problem):
    code, title = ErrorCode.PHONE_TAKEN, "Another account has this phone number."


class UsernameTaken(Problem):
    code, title = ErrorCode.USERNAME_TAKEN, "Another account has this username."


class RoleHeld(Problem):
    code, title = ErrorCode.ROLE_HELD, "You hold this role already."


class OtpRequired(NotAuthenticated):
    """Told only to who gave the right password."""

    code, title = ErrorCode.OTP_REQUIRED, "This account has two-factor sign-in: send a code as `otp`, too."


class ProofRequired(Forbidden):
    code, title = ErrorCode.PROOF_REQUIRED, "Prove that it is you: your password, a code, or a fresh sign-in is wanted."


class TwoFactorIsOn(Problem):
    code, title = ErrorCode.TWO_FACTOR_ON, "Two-factor sign-in is on already."


class TwoFactorIsOff(Problem):
    code, title = ErrorCode.TWO_FACTOR_OFF, "Two-factor sign-in is not on."


class InvalidCode(ValidationFailed):
    """The same for an unknown account, a wrong code, one that has run out, was used, or was tried too often."""

    code, title = ErrorCode.INVALID_CODE, "This code is wrong, or works no more: ask for a new one."


class AccountInUse(Problem):
    """Carries `obstacles`: what has to be brought to an end first, each with `code` and `detail`."""

    code, title = ErrorCode.ACCOUNT_IN_USE, "Something of this account is under way: bring it to an end first."


class TooManyAddresses(Problem):
    code, title = ErrorCode.TOO_MANY_ADDRESSES, "Fifty addresses are kept at most: delete one first."
