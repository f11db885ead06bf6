"""Options of judges that cannot work are refused before any question."""

from __future__ import annotations

import pytest

from eval.judges.options import VlmOptions
from eval.judges.vlm import VlmJudge
from tests.chat_server import ChatServer
from tests.eval.judges.talking import judge
from ttom.errors import SetupError


def test_settings_that_cannot_work(server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SetupError, match="no vision language model"):
        judge(server, model=None)
    with pytest.raises(SetupError, match="prices"):
        judge(server, budget=1.0)
    with pytest.raises(SetupError, match="concurrency"):
        judge(server, concurrency=0)
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(SetupError, match="no key"):
        VlmJudge(VlmOptions(model="gpt"))
