"""What a person at the command line can cause and mend."""


class UserError(Exception):
    """One sentence for whoever started the command, and the exit code to leave with."""

    def __init__(self, sentence: str, *, code: int = 1) -> None:
        super().__init__(sentence)
        self.code = code
