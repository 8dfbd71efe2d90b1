"""An evaluator as a server for clients of other languages: OFREP, OpenFeature's remote evaluation protocol, and a page.

`application` is in app.py, the protocol in ofrep.py, what is read and written in reading.py and writing.py, the news of
changes in events.py, who may ask in guards.py. The page for people is inspector.py.
"""

try:
    from .app import application
except ModuleNotFoundError as error:
    if error.name != "starlette":
        raise
    from ..extras import missing

    raise missing("the server", "starlette", "serve") from error

__all__ = ["application"]
