"""What holds for the command line as a whole, and for every verb in the table."""

import json
import re
import shutil
import subprocess
import time

import pytest

SHELLS = ["bash", "zsh", "fish"]


def long_flags(text):
    return set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", text))


def declared_flags(help_text):
    """The flags that the option lists of a help text declare, short ones too."""
    flags = set()
    for line in help_text.splitlines():
        match = re.match(r"  (?:(-\w), |    )(--[a-z][a-z0-9-]*)", line)
        if match:
            flags |= {flag for flag in match.groups() if flag}
    return flags


# --- the program itself


def test_overview(mlc):
    result = mlc.ok()
    assert result.stderr == ""
    assert len(result.stdout.splitlines()) <= 12
    for verb in mlc.verbs():
        assert verb in result.stdout


def test_full_help_lists_every_verb(mlc):
    text = mlc.ok("--help").stdout
    assert mlc.ok("help").stdout == text
    assert mlc.ok("-h").stdout == text
    for verb in mlc.verbs():
        assert re.search(rf"^  {verb}\s", text, re.M), verb
    assert max(map(len, text.splitlines())) <= 80


def test_version(mlc, valid):
    assert re.fullmatch(r"mlc \d+\.\d+\.\d+\S* \(commit \w+, .+\)\n", mlc.ok("--version").stdout)
    for arguments in (["--version", "--json"], ["--json", "--version"]):
        valid(mlc.ok(*arguments).json, "version")


def test_unknown_verb(mlc):
    result = mlc("completoin", "bash")
    assert (result.rc, result.stdout) == (2, "")
    assert result.stderr == 'mlc: error: unknown verb "completoin"\nhint: did you mean `completion`?\n'
    assert "hint: `mlc --help` lists the verbs" in mlc("xyzzy").stderr
    assert mlc("comp").rc == 2  # no abbreviations
    assert mlc("").rc == 2
    assert mlc("a\x1b[31mb\n").stderr.startswith('mlc: error: unknown verb "a\\x1b[31mb\\x0a"\n')


def test_unknown_flag(mlc):
    result = mlc("completion", "bash", "--jsn")
    assert (result.rc, result.stdout) == (2, "")
    assert result.stderr == 'mlc: error: unknown flag "--jsn"\nhint: did you mean `--json`?\n'
    assert "`mlc completion --help` lists the flags" in mlc("completion", "bash", "-Z").stderr
    assert mlc("--jsn").rc == 2


@pytest.mark.parametrize("arguments, message", [
    (["completion"], "missing SHELL"),
    (["completion", "bash", "zsh"], 'unexpected argument "zsh"'),
    (["completion", "tcsh"], 'no completion for the shell "tcsh"'),
    (["completion", "bash", "--color"], "--color needs a value"),
    (["completion", "bash", "--color="], "--color needs a value"),
    (["completion", "bash", "--color", "red"], '--color: "red" is not one of auto, always and never'),
    (["completion", "bash", "--json=1"], "--json takes no value"),
    (["completion", "bash", "--threads", "0"], "--threads: 0 is out of range; allowed are 1 to 1024"),
    (["completion", "bash", "--color", "never", "--color", "always"], "--color is given twice"),
    (["help", "completoin"], 'unknown verb "completoin"'),
    (["man", "--", "--json"], 'unknown verb "--json"'),
])
def test_usage_errors_are_code_2(mlc, valid, arguments, message):
    result = mlc(*arguments)
    assert (result.rc, result.stdout) == (2, "")
    assert result.stderr.splitlines()[0] == f"mlc: error: {message}"
    error = mlc("--json", *arguments)
    assert error.rc == 2
    valid(error.error, "error")
    assert error.error["kind"] == "usage"


def test_flags_stand_anywhere(mlc):
    expected = mlc.ok("completion", "bash").stdout
    for arguments in (["--quiet", "completion", "bash"], ["--color", "never", "completion", "bash"],
                      ["completion", "--color=never", "bash", "-vv"], ["completion", "--", "bash"]):
        assert mlc.ok(*arguments).stdout == expected


# --- streams


def test_broken_pipe_is_quiet(mlc):
    result = mlc.shell('"$MLC" man | head -1')
    assert (result.rc, result.stderr) == (0, "")
    assert result.stdout.startswith(".TH")
    result = mlc.shell('"$MLC" man | true')
    assert (result.rc, result.stderr) == (0, "")


def test_full_device_is_code_5(mlc, valid):
    result = mlc.shell('"$MLC" man > /dev/full')
    assert result.rc == 5
    assert result.stderr == "mlc: error: cannot write to standard output: No space left on device\n"
    valid(json.loads(mlc.shell('"$MLC" doctor --json > /dev/full').stderr), "error")


def test_closed_stdout_is_code_5(mlc):
    result = mlc.shell('"$MLC" --version >&-')
    assert result.rc == 5
    assert "cannot write to standard output" in result.stderr


def test_closed_stdin_and_stderr_do_no_harm(mlc):
    assert mlc.shell('"$MLC" --version <&- 2>&-').rc == 0


def has_color(text):
    return "\x1b[" in text


@pytest.mark.parametrize("arguments, env, colored", [
    ([], {}, True),
    ([], {"NO_COLOR": "1"}, False),
    ([], {"NO_COLOR": ""}, True),
    ([], {"TERM": "dumb"}, False),
    (["--color=never"], {}, False),
    (["--color=always"], {"NO_COLOR": "1"}, True),
    (["--color=always", "--json"], {}, False),
])
def test_color_on_a_terminal(mlc, arguments, env, colored):
    code, text = mlc.tty("completion", "tcsh", *arguments, env=env)
    assert code == 2
    assert has_color(text) == colored
    assert "no completion for the shell" in text


def test_no_color_in_a_pipe_unless_asked(mlc):
    assert not has_color(mlc("completion", "tcsh").stderr)
    assert has_color(mlc("completion", "tcsh", "--color", "always").stderr)


# --- every verb


def test_help_of_every_verb(mlc):
    for verb in mlc.verbs():
        text = mlc.ok(verb, "--help").stdout
        assert mlc.ok("help", verb).stdout == text
        assert mlc.ok(verb, "-h", "--no-such-flag").stdout == text
        assert mlc.ok("--help", verb).stdout == text
        assert max(map(len, text.splitlines())) <= 80, verb
        head = text[: text.index("\nUsage:")]
        assert len(re.findall(rf"^  \S.*mlc {verb}\b|^  mlc {verb}\b", head, re.M)) >= 2, verb
        assert re.search(r"^Exit codes:$", text, re.M)
        for code in (0, 1, 2, 3, 4, 5, 70, 130):
            assert re.search(rf"^ +{code}  \S", text, re.M), (verb, code)
        assert not re.search(r" $", text, re.M), verb


def test_help_man_and_completion_list_the_same_flags(mlc):
    scripts = {shell: mlc.ok("completion", shell).stdout for shell in SHELLS}
    for verb in mlc.verbs():
        flags = declared_flags(mlc.ok(verb, "--help").stdout)
        assert {"--json", "--quiet", "-q", "--help", "-h"} <= flags
        man = mlc.ok("man", verb).stdout.replace("\\-", "-")
        assert set(re.findall(r"\\fB(-\w|--[a-z][a-z0-9-]*)\\fR", man)) == flags, verb
        bash = re.search(rf"^    {verb}\) flags='([^']*)'", scripts["bash"], re.M).group(1)
        assert set(bash.split()) == flags, verb
        zsh = scripts["zsh"].split(f"      {verb})\n", 1)[1].split(";;", 1)[0].split("return 0", 1)[0]
        assert set(re.findall(r"^        '(?:\*|\([^)]*\))(-\w|--[a-z][a-z0-9-]*)[=+]?\[", zsh, re.M)) == flags, verb
        fish = set()
        for line in scripts["fish"].splitlines():
            match = re.search(rf"'__fish_seen_subcommand_from {verb}' -l (\S+)(?: -s (\w))?", line)
            if match:
                fish |= {"--" + match.group(1)} | ({"-" + match.group(2)} if match.group(2) else set())
        assert fish == flags, verb


def test_flags_in_prose_exist(mlc):
    """Hints and examples of a help text name flags that some verb has."""
    texts = {verb: mlc.ok(verb, "--help").stdout for verb in mlc.verbs()}
    known = {"--version"}.union(*map(declared_flags, texts.values()))
    for verb, text in texts.items():
        examples = text[: text.index("\nUsage:")]
        mentioned = {flag for line in examples.splitlines() if f"mlc {verb}" in line
                     for flag in long_flags(line.split(f"mlc {verb}", 1)[1].split("|")[0])}
        assert mentioned <= declared_flags(text), verb
        assert long_flags(text) <= known, verb


@pytest.mark.skipif(not shutil.which("groff"), reason="groff is not installed")
def test_man_pages_are_clean_roff(mlc):
    for arguments in [["man"]] + [["man", verb] for verb in mlc.verbs()]:
        page = mlc.ok(*arguments).stdout
        done = subprocess.run(["groff", "-man", "-ww", "-Tutf8"], input=page, text=True, capture_output=True, check=True)
        assert done.stderr == ""
        assert "EXIT STATUS" in re.sub(".\x08", "", done.stdout)  # bold is overstruck


def test_unknown_flag_of_every_verb(mlc):
    for verb in mlc.verbs():
        result = mlc(verb, "--no-such-flag-at-all")
        assert (result.rc, result.stdout) == (2, ""), verb
        assert 'unknown flag "--no-such-flag-at-all"' in result.stderr, verb


# --- completion scripts, run by their shells


def bash_completes(mlc, line):
    script = (f'source <("{mlc.binary}" completion bash); COMP_LINE={line!r}; COMP_WORDS=({line} ); '
              '[[ $COMP_LINE == *" " ]] && COMP_WORDS+=(""); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); '
              '_mlc 2>/dev/null; printf "%s\\n" "${COMPREPLY[@]}"')
    return mlc.shell(script).stdout.split()


def test_bash_completion_works(mlc):
    assert "completion" in bash_completes(mlc, "mlc compl")
    assert bash_completes(mlc, "mlc completion --jso") == ["--json"]
    assert bash_completes(mlc, "mlc completion f") == ["fish"]
    assert bash_completes(mlc, "mlc completion --color a") == ["auto", "always"]
    assert bash_completes(mlc, "mlc help compl") == ["completion"]


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_scripts_parse(mlc, shell):
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    script = mlc.cwd / f"mlc.{shell}"
    script.write_text(mlc.ok("completion", shell).stdout)
    done = subprocess.run([shell, "-n", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# --- speed


def test_start_up_takes_milliseconds(mlc):
    """2 ms on an idle machine; the bound only catches a library that does work at load time."""
    if b"__asan_init" in mlc.binary.read_bytes():
        pytest.skip("sanitizers start slowly")
    best = {}
    for arguments in (("--version",), ("--help",), ("completion", "--help")):
        seconds = []
        for _ in range(10):
            start = time.perf_counter()
            mlc.ok(*arguments)
            seconds.append(time.perf_counter() - start)
        best[arguments] = min(seconds)
    assert max(best.values()) < 0.05, best


# --- schemas


def test_examples_fit_their_schemas(root, valid):
    for name in ("error", "batch", "version"):
        valid(json.loads((root / f"schemas/examples/{name}.json").read_text()), name)


@pytest.mark.parametrize("verb", [["man"], ["man", "load"], ["completion", "bash"]], ids=" ".join)
def test_json_was_ignored_by_verbs_that_have_none(mlc, verb):
    for arguments in (["--json", *verb], [*verb, "--json"]):
        refused = mlc(*arguments)
        assert refused.rc == 2 and "--json means nothing" in refused.error["message"]
