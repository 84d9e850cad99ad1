"""What proving an address and recovering a password take and give."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from backend.accounts.schemas.account import Email, Password, PhoneNumber
from backend.core.schemas import In, Out, Text

CodeText = Annotated[
    str, Field(pattern="^[0-9]{6}$", description="The six digits that were sent.", examples=["042917"])
]
LinkToken = Annotated[Text, Field(min_length=1, max_length=100, examples=["5f2c…"])]


class EmailIn(In):
    """Where a code goes."""

    email: Email


class PhoneIn(In):
    """Where a code goes."""

    phone_number: PhoneNumber


class EmailVerifyIn(In):
    """The address and its code, or the token of the mail's link."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"email": "amel@example.org", "code": "042917"}]})

    email: Email | None = None
    code: CodeText | None = None
    token: LinkToken | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.email is None, self.code is None, self.token is None) not in {
            (False, False, True),
            (True, True, False),
        }:
            raise ValueError("give email and code, or token")
        return self


class PhoneVerifyIn(In):
    """The number and its code."""

    phone_number: PhoneNumber
    code: CodeText


class _Whose(In):
    email: Email | None = None
    phone_number: PhoneNumber | None = None

    @model_validator(mode="after")
    def _either(self) -> Self:
        if (self.email is None) == (self.phone_number is None):
            raise ValueError("give email or phone_number")
        return self

    @property
    def address(self) -> str:
        """The one that was given."""
        return self.email or self.phone_number or ""


class PasswordResetIn(_Whose):
    """Whose password: by e-mail address or phone number."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"email": "amel@example.org"}]})


class PasswordResetConfirmIn(_Whose):
    """The code that went to this address or number, and the new password."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"email": "amel@example.org", "code": "042917", "new_password": "another battery horse staple"}
            ]
        }
    )

    code: CodeText
    new_password: Annotated[Password, Field(min_length=8)]


class PasswordChangeIn(In):
    """The present password and the next one."""

    password: Annotated[
        Password | None, Field(min_length=1, description="May be missing only for an account that has none.")
    ] = None
    new_password: Annotated[Password, Field(min_length=8)]


class CodeAskedOut(Out):
    """The same whether or not an account has the address."""

    channel: Literal["email", "sms"]
    expires_in_seconds: int


class VerifiedOut(Out):
    """What is proved now."""

    channel: Literal["email", "sms"]
    is_verified: Literal[True] = True
