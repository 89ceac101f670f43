"""An error of a tool or model that says too much."""

from tests.support.firewall.canaries import Canaries


class LeakError(Exception):
    """Carries content in all the ways an exception can."""

    def __init__(self, sing: Canaries) -> None:
        super().__init__(sing.text(), {"prompt": sing.text()})
        self.code = sing.text()
        self.add_note(sing.text())

    def __repr__(self) -> str:
        return f"{self.args}{self.code}{self.__notes__}"
