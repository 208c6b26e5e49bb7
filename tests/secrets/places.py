"""Every place where a cell or a step can carry a secret: what the cells of the suite call.

All of it is ordinary Python that does not know it is watched.
"""

import base64
import gzip
import io
import json
import logging
import os
import struct
import subprocess
import sys
import threading
import warnings
import zlib
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import scrapbook
from IPython.display import HTML, JSON, Image, Latex, Markdown, display
from matplotlib.figure import Figure

from runbook import open_run, showing
from runbook.errors import NoGo, StepFailed
from runbook.gates.watching import Look
from runbook.step import Step
from runbook.summary import Conclusion, Number
from runbook.values import Check
from tests import toy
from tests.secrets.canaries import VALUES, spoken, written


def texts():
    return [text for _, _, text in spoken()]


# Streams


def print_them():
    for text in texts():
        print(text)


def print_in_two():
    """One write for each half, sent off in between."""
    for text in texts():
        print(text[: len(text) // 2], end="", flush=True)
        print(text[len(text) // 2 :], flush=True)


def print_letters():
    for value in VALUES.values():
        for letter in value:
            sys.stdout.write(letter)
            sys.stdout.flush()
        print()


def print_around_an_update():
    """An update changes a display of before; it does not part what is printed around it."""
    handle = display(HTML("0 %"), display_id=True)
    for value in VALUES.values():
        print(value[:9], end="")
        handle.update(HTML("50 %"))
        print(value[9:])


def print_coloured():
    for value in VALUES.values():
        print("".join(f"\x1b[3{number % 8}m{letter}\x1b[0m" for number, letter in enumerate(value)))


def write_past_python():
    """Straight to the file descriptors, as a C library does."""
    for text in texts():
        os.write(1, f"{text}\n".encode())
        os.write(2, f"{text}\n".encode())


def let_children_speak():
    for text in texts():
        subprocess.run([sys.executable, "-Sc", "import sys; print(sys.argv[1])", text], check=True)
    subprocess.run([sys.executable, "-Sc", f"print({VALUES['TOY_TOKEN']!r})"], stdout=sys.stdout, check=True)


def log_them():
    logger = logging.getLogger("toy.secrets")
    for text in texts():
        logger.warning("refused: %s", text)
    logging.getLogger("toy.secrets").error("and %r", VALUES)


def warn_of_them():
    for text in texts():
        warnings.warn(text, stacklevel=1)


def speak_in_a_thread():
    def work():
        print(VALUES["TOY_TOKEN"])
        display(HTML(VALUES["TOY_DSN"]))
        raise ValueError(VALUES["TOY_PHRASE"])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


# Displays


def show_markup():
    for text in texts():
        display(HTML(f"<p title='{text}'>{text}</p>"), Markdown(text), Latex(text))


def show_markup_taken_apart():
    """Tags and character references between the letters."""
    for value in VALUES.values():
        display(HTML("".join(f"&#{ord(letter)};" for letter in value)))
        display(HTML(f"<i>{value[:9]}</i><!-- x --><b>{value[9:]}</b>"))


def show_data():
    for text in texts():
        display(JSON({"a": [1, {text: text}]}))
    display(
        {
            "application/json": {"v": [*VALUES.values(), int(VALUES["TOY_PIN"])]},
            "text/plain": ["a", *texts()],
        },
        raw=True,
    )
    display({"text/plain": "x"}, raw=True, metadata={"tags": texts(), "text/plain": {"alt": texts()[0]}})


def update_displays():
    handle = display(HTML("empty"), display_id=True)
    for text in texts():
        handle.update(HTML(text))


def return_them():
    return {"values": VALUES, "texts": texts(), "bytes": [value.encode() for value in VALUES.values()]}


def return_table():
    """A table as wide as its cells, and one that pandas shortens."""
    frame = pd.DataFrame({"name": list(VALUES), "value": list(VALUES.values())})
    with pd.option_context("display.max_colwidth", None):
        display(frame, frame.style)
    return frame


def figure(title):
    shown = Figure(figsize=(3, 2), label=f"alt text: {title}")
    axes = shown.add_subplot(title=title, xlabel=title)
    axes.plot([1, 2], [1, 2], label=title)
    axes.set_xticks([1, 2], [title, "x"])
    axes.legend()
    return shown


def show_figures():
    for value in VALUES.values():
        display(figure(value.replace("\n", " ")))
    import matplotlib.pyplot as plt  # noqa: PLC0415

    plt.plot([1, 2])
    plt.title(VALUES["TOY_TOKEN"])
    plt.show()
    return figure(VALUES["TOY_PHRASE"])


def png(*chunks):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    end = chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunk(*one) for one in chunks) + end


def remarked(value):
    """Return a picture that holds a value in each kind of remark that a PNG knows."""
    text = value.encode()
    return png(
        (b"tEXt", b"Comment\0" + value.encode("latin-1", "replace")),
        (b"zTXt", b"Comment\0\0" + zlib.compress(text)),
        (b"iTXt", b"Comment\0\0\0\0\0" + text),
        (b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(text)),
    )


def show_pictures():
    for value in VALUES.values():
        picture = remarked(value)
        uri = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
        display(Image(data=picture), HTML(f'<img src="{uri}" alt="x">'))
        display({"image/jpeg": base64.b64encode(b"\xff\xd8\xff" + value.encode()).decode()}, raw=True)
    drawn = io.BytesIO()
    figure("fine").savefig(drawn, format="png", metadata={"Title": VALUES["TOY_TOKEN"]})
    display(Image(data=drawn.getvalue()))


# Exceptions


class Refusal(ValueError):
    """Somebody's exception."""


def raise_theirs():
    raise ValueError(f"{texts()} {VALUES!r}")


def raise_chained():
    try:
        try:
            raise KeyError(VALUES["TOY_TOKEN"])
        except KeyError as error:
            raise Refusal(VALUES["TOY_DSN"]) from error
    except Refusal:
        error = RuntimeError(VALUES["TOY_PHRASE"])
        error.add_note(VALUES["TOY_WEBHOOK"])
        raise error  # noqa: B904  # its context is what is shown


def raise_group():
    raise ExceptionGroup(VALUES["TOY_TOKEN"], [ValueError(text) for text in texts()])


def raise_ours():
    try:
        raise KeyError(VALUES["TOY_PHRASE"])
    except KeyError as error:
        raise NoGo(f"{texts()}") from error


# Steps: each is a function of the run, so that no title stands in a cell


def return_quietly(step: Step, name: str, form: str) -> dict[str, str]:
    return {"answer": written(step.secret(name))[form]}


def read_each(run):
    """Return what each refusal said."""
    said = []
    for name, form, _ in spoken():
        try:
            run.read(f"{form} of {name}", return_quietly, name, form)
        except StepFailed as error:
            said.append(str(error))
    return said


def shaped(step: Step, shape: str):
    token = step.secret("TOY_TOKEN")
    shapes = {
        "a key": {token: 1},
        "a tuple": (1, [token]),
        "a path": Path("/run") / token,
        "a value": Number(title=token, value=1.0, unit=""),
        "a table": pd.DataFrame({"name": ["a"], "value": [token]}),
        "a column": pd.DataFrame({token: [1]}),
        "JSON in JSON": json.dumps({"body": json.dumps({"value": VALUES["TOY_PHRASE"]})}),
        "a number": int(VALUES["TOY_PIN"]),
        "a line of a key": VALUES["TOY_KEY"].splitlines()[2],
        "a password": {"user": "runner", "password": "p@ss-canary/81"},
    }
    return shapes[shape]


SHAPES = (
    "a key",
    "a tuple",
    "a path",
    "a value",
    "a table",
    "a column",
    "JSON in JSON",
    "a number",
    "a line of a key",
    "a password",
)


def read_shapes(run):
    """Return what each refusal said."""
    said = []
    for shape in SHAPES:
        try:
            run.read(shape, shaped, shape)
        except StepFailed as error:
            said.append(str(error))
    return said


def title_with(run):
    run.read(f"zone for {VALUES['TOY_TOKEN']}", toy.read_number, 1)


def give_as_input(run):
    """An input is part of a step's key, which is a digest; the step's result is what counts."""
    return run.read("length", length, VALUES["TOY_TOKEN"])


def length(step: Step, text: str) -> int:
    print(text)
    return len(text)


def checks(step: Step, holds: bool) -> list[Check]:
    return [
        Check.of(f"{name} of {text}", holds=holds, observed=text, expected=text) for name, _, text in spoken()
    ]


def check_that_holds(run):
    run.check("all hold", checks, True)


def check_that_fails(run):
    run.check("none holds", checks, False)


def evidence(step: Step) -> str:
    for number, (_, _, text) in enumerate(spoken()):
        step.evidence(f"reply-{number}.json", f'{{"reply": "{text}"}}')
        step.evidence(f"reply-{number}.bin", b"\0\xff\xfe" + text.encode() + b"\x80")
    return "kept"


def keep_evidence(run):
    return run.read("keep text and bytes", evidence)


def pictures(step: Step) -> str:
    for name, value in VALUES.items():
        step.evidence(f"{name.lower()}.png", remarked(value))
    return "kept"


def keep_pictures(run):
    return run.read("keep pictures", pictures)


def packed(step: Step) -> str:
    step.evidence("reply.json.gz", gzip.compress(VALUES["TOY_TOKEN"].encode()))
    return "kept"


def keep_packed(run):
    return run.read("keep packed", packed)


def wide(step: Step) -> str:
    step.evidence("reply.txt", VALUES["TOY_TOKEN"].encode("utf-16"))
    return "kept"


def keep_wide(run):
    return run.read("keep in UTF-16", wide)


def named_evidence(step: Step) -> str:
    step.evidence(f"{VALUES['TOY_TOKEN']}.txt", "x")
    return "kept"


def keep_named(run):
    return run.read("keep under a name", named_evidence)


def progress(step: Step) -> str:
    for _, _, text in spoken():
        with step.progress(text, total=2, unit=text) as bar:
            bar._began -= 60  # long work, without the wait
            bar._told -= 60
            bar.at(1)
            print(text)
    return "done"


def show_progress(run):
    return run.read("long work", progress)


def phase(step: Step) -> str:
    with step.phase(f"talking to {step.secret('TOY_DSN')}"):
        return "done"


def name_phase(run):
    return run.read("a phase", phase)


def fail(step: Step) -> None:
    try:
        raise ConnectionError(step.secret("TOY_DSN"))
    except ConnectionError as error:
        raise StepFailed(f"refused: {texts()}") from error


def fail_with_ours(run):
    run.read("fail with ours", fail)


def fail_as_theirs(step: Step) -> None:
    raise LookupError({step.secret("TOY_PHRASE"): texts()})


def fail_with_theirs(run):
    run.read("fail with theirs", fail_as_theirs)


class Telltale(toy.WriteNumber):
    """A change that is data without a secret, and speaks of one whatever it is asked."""

    part: str

    def _say(self, part, otherwise):
        return f"{part} with {VALUES['TOY_TOKEN']}" if part == self.part else otherwise

    def sentence(self):
        return self._say("sentence", f"write {self.number}")

    def resource(self):
        return self._say("resource", "world.txt")

    def touches(self):
        return self._say("touches", "world.txt")

    def way_back(self):
        return self._say("way back", "delete the line")

    def before(self):
        return self._say("before", "it is not there")

    def after(self):
        return self._say("after", "it is there")

    def observe(self, step):
        return self._say("observe", super().observe(step))


PARTS = ("sentence", "resource", "touches", "way back", "before", "after", "observe")


def telltale(step: Step, part: str) -> Telltale:
    return Telltale(number=PARTS.index(part) + 100, part=part)


def change_telltale(run):
    """Plan, show, approve and apply a change for each thing that it can say."""
    for part in PARTS:
        plan = run.plan(f"tell of {part}", telltale, part)
        display(plan)
        print(plan.changes[0].sentence(), plan)
        for verb in (run.approve, run.apply):
            try:
                display(verb(plan))
            except Exception as error:  # noqa: BLE001  # whatever it is, it is shown
                print(f"{type(error).__name__}: {error} {getattr(error, '__notes__', [])}")


def look(step: Step, past) -> Look:
    return Look(at=step.clock.now(), says=f"refused {VALUES['TOY_TOKEN']}", decision="hold", ends=True)


def watch_telltale(run):
    run.watch("watch it", look, until=datetime(2026, 1, 1, tzinfo=UTC))


def conclusion(step: Step) -> Conclusion:
    token = step.secret("TOY_TOKEN")
    return Conclusion(
        verdict=f"All is well with {token}", numbers={"n": Number(title=token, value=1.0, unit="")}
    )


def conclude(run):
    run.read("what came of it", conclusion)


def finish_with(run):
    token = VALUES["TOY_TOKEN"]
    run.finish(Conclusion(verdict=token, numbers={token: Number(title="n", value=1.0, unit="")}))


def leave_scraps():
    for value in VALUES.values():
        showing.show_scrap(value, {"data": value})
    scrapbook.glue("toy", VALUES)


def open_with(run):
    """Another run, with a canary among its parameters."""
    open_run("toy", environment="sandbox", run_id="r2", params={"x": 1, "note": VALUES["TOY_TOKEN"]})


def open_named(run):
    open_run("toy", environment="sandbox", run_id=VALUES["TOY_TOKEN"], params={"x": 1})
