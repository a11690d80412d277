#!/usr/bin/env python3
"""Checks the rules of style that a formatter does not: sizes, left-overs, environment, compiler flags.

    check_style.py [ROOT]         prints file:line of every breach; exit code 1 when there is one
    check_style.py --self-test    plants breaches in a temporary tree and expects each to be found
"""

import ast
import pathlib
import re
import sys
import tempfile

from source_tree import files_below

LINE_COLUMNS = 110
FILE_LINES = 400
MAIN_LINES = 60
FUNCTION_LINES = 70

# Who may read the environment, with its test, and why.
ENVIRONMENT_READERS = {
    "harness/options.cpp": "what the command line leaves open",
    "harness/cache.cpp": "the XDG cache folder",
    "harness/user_folder.cpp": "the XDG cache and data folders",
    "harness/rank_launcher.cpp": "what mpirun and srun tell the processes that they start",
    "harness/recorder.cpp": "the XDG cache folder",
    "reference/blas.cpp": "BLAS takes its choice of kernels from there alone",
}

CPP_SUFFIXES = (".cpp", ".hpp", ".h", ".cc", ".inc", ".cpp.in", ".hpp.in")
SCRIPT_SUFFIXES = (".py", ".sh")
PAGE_SUFFIXES = (".ts", ".tsx", ".css", ".html")
BUILD_SUFFIXES = ("CMakeLists.txt", ".cmake", "CMakePresets.json")

# Split, so that this file does not find itself.
LEFT_OVER = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
ENVIRONMENT = re.compile(r"\b(secure_)?get" r"env\b")
UNTYPED = re.compile(r"[:<,]\s*any\b|\bas any\b")
UNPORTABLE_FLAG = re.compile(r"-ffast" r"-math|-O" r"fast|-m(arch|tune|cpu)=" r"native|-funsafe" r"-math\S*")

COMMENT_OR_LITERAL = re.compile(
    r"//(?:[^\n\\]|\\.|\\\n)*"  # to the end of the line
    r"|/\*.*?\*/"
    r'|R"(?P<delimiter>[^()\\\s]{0,16})\(.*?\)(?P=delimiter)"'
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|(?<![0-9A-Fa-f])'(?:[^'\\\n]|\\.)+'",  # a character, not the separator of digits
    re.DOTALL,
)
PREPROCESSOR_LINE = re.compile(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", re.MULTILINE)
SCOPE = re.compile(
    r'^(template\s*<.*>\s*)?(typedef\s+|inline\s+)*((namespace|class|struct|union|enum)\b|extern\s*"")'
)
ACCESS_OR_SPACE = re.compile(r"(\s|\b(public|protected|private)\s*:(?!:))*")


SUFFIXES = CPP_SUFFIXES + SCRIPT_SUFFIXES + PAGE_SUFFIXES + BUILD_SUFFIXES


def files(root):
    return files_below(root, SUFFIXES)


def bare_cpp(text):
    """The text with comments, literals and preprocessor lines emptied; line numbers stay."""

    def emptied(match):
        quotes = '""' if match[0].endswith('"') and not match[0].lstrip().startswith(("/", "#")) else ""
        return quotes + "\n" * match[0].count("\n")

    return PREPROCESSOR_LINE.sub(emptied, COMMENT_OR_LITERAL.sub(emptied, text))


def closing_brace(text, opening):
    depth = 0
    for index in range(opening, len(text)):
        depth += {"{": 1, "}": -1}.get(text[index], 0)
        if depth == 0:
            return index
    return len(text) - 1


def is_scope(header):
    """Whether the brace after `header` opens a namespace or a class: their functions are measured singly."""
    match = SCOPE.match(header)
    if not match:
        return False
    without_attributes = re.sub(r"\b(alignas|decltype|__attribute__)\s*\(.*?\)", "", header[match.end() :])
    return "(" not in without_attributes


def is_function(header):
    if "](" in header.replace(" ", "") or re.search(r"\]\s*$", header):
        return True  # a lambda
    outside_parentheses = re.sub(r"\([^()]*\)", "", re.sub(r"\([^()]*\)", "", header))
    assigned = re.search(r"(?<![=!<>+\-*/])=(?!=)", outside_parentheses) and "operator" not in header
    return ")" in header and not assigned


def cpp_functions(text):
    """(first line, lines) of every function; a lambda counts to the function that holds it."""
    text = bare_cpp(text)
    begin = index = 0  # of the declaration being read
    while index < len(text):
        character = text[index]
        if character in ";}":
            begin = index + 1
        elif character == "{":
            begin += ACCESS_OR_SPACE.match(text[begin:index]).end()
            header = text[begin:index].strip()
            if not is_scope(header):
                end = closing_brace(text, index)
                following = text[end + 1 :].lstrip()[:1]
                if following in (",", "{") or (following and following in ").;" and not header.endswith(")")):
                    index = end + 1  # a braced initialiser within the declaration
                    continue
                if is_function(header):
                    first = text.count("\n", 0, begin) + 1
                    yield first, text.count("\n", 0, end) + 2 - first
                index = end
            begin = index + 1
        index += 1


def python_functions(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.lineno, node.end_lineno - node.lineno + 1


def line_breaches(file, text):
    bare = bare_cpp(text).splitlines() if file.endswith(CPP_SUFFIXES) else []
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > LINE_COLUMNS and not file.endswith("CMakePresets.json"):
            yield number, f"{len(line)} columns, at most {LINE_COLUMNS}"
        if LEFT_OVER.search(line):
            yield number, f"left-over: {LEFT_OVER.search(line)[0]}"
        code = bare[number - 1] if number <= len(bare) else ""
        if ENVIRONMENT.search(code) and file.replace("_test.", ".") not in ENVIRONMENT_READERS:
            yield number, f"reads the environment; only these may: {', '.join(ENVIRONMENT_READERS)}"
        if file.endswith((".ts", ".tsx")) and UNTYPED.search(line.split("//")[0]):
            yield number, f"untyped: {UNTYPED.search(line)[0]}"
        if file.endswith(BUILD_SUFFIXES):
            flag = UNPORTABLE_FLAG.search(line.split("#")[0])
            if flag:
                yield number, f"{flag[0]}: builds are portable and keep IEEE arithmetic"


def size_breaches(file, text):
    lines = len(text.splitlines())
    limit = MAIN_LINES if file == "harness/main.cpp" else FILE_LINES
    is_test = re.search(r"_test\.\w+$", file)
    if lines > limit and not is_test:
        yield limit + 1, f"{lines} lines, at most {limit}"
    functions = []
    if file.endswith(CPP_SUFFIXES):
        functions = cpp_functions(text)
    elif file.endswith(".py"):
        functions = python_functions(text)
    for first, length in functions:
        if length > FUNCTION_LINES:
            yield first, f"function of {length} lines, at most {FUNCTION_LINES}"


def breaches(root):
    found = []
    for file in files(root):
        text = (root / file).read_text(encoding="utf-8")
        for check in (line_breaches, size_breaches):
            found += [f"{file}:{number}: {reason}" for number, reason in check(file, text)]
    return found


def body(lines):
    return "{\n" + "    work();\n" * (lines - 2) + "}\n"


# (file, text, expected line of the breach or None)
PLANTED = [
    ("harness/a.cpp", "x" * 110 + "\n", None),
    ("harness/a.cpp", "\n" + "x" * 111 + "\n", 2),
    ("harness/a.cpp", "// a\n" * 400, None),
    ("harness/a.cpp", "// a\n" * 401, 401),
    ("harness/a_test.cpp", "// a\n" * 401, None),
    ("harness/main.cpp", "// a\n" * 61, 61),
    ("harness/a.cpp", "int f() " + body(70), None),
    ("harness/a.cpp", "int f() " + body(71), 1),
    ("harness/a.cpp", "namespace a {\nnamespace {\n\nint f(int b,\n      int c) " + body(70) + "}\n}\n", 4),
    ("harness/a.cpp", "class B : public C {\npublic:\n    void f() const " + body(71) + "};\n", 3),
    ("harness/a.cpp", 'extern "C" {\nint a() { return 1; }\n' + "int b();\n" * 80 + "}\n", None),
    ("harness/a.cpp", "struct A {\n" + "    int b() { return 1; }\n" * 80 + "};\n", None),
    ("harness/a.cpp", "A::A(int b) : b_{b}, c_(b) " + body(71), 1),
    ("harness/a.cpp", "A::A(int b) : b_(b), c_{b} " + body(70), None),
    ("harness/a.cpp", "constexpr std::array<int, 90> a{{\n" + "    {f(1)},\n" * 90 + "}};\n", None),
    ("harness/a.cpp", "const int a[] = {\n" + "    f(1),\n" * 90 + "};\n", None),
    ("harness/a.cpp", "const auto f = [](int a) " + body(71), 1),
    ("harness/a.cpp", 'void f() {\n    g("{", \'{\', R"({)"); // {\n}\n' + "\n" * 80 + "void h() {}\n", None),
    ("harness/a.cpp", "template <typename T>\nT f(T a = {}) " + body(70), 1),
    ("harness/a_test.cpp", "TEST(A, b) " + body(71), 1),
    ("harness/a.cpp", "#define A(x) {\n\nvoid f() " + body(70), None),
    ("harness/a.cpp", "int a = 1'000; void f() " + body(71), 1),
    ("ci/a.py", "def f():\n" + "    work()\n" * 70, 1),
    ("harness/a.cpp", "// TO" "DO: later\n", 1),
    ("ci/a.sh", "# FIX" "ME\n", 1),
    ("harness/a.cpp", 'mkdtemp("XX' 'XXXX");\n', None),
    ("harness/a.cpp", 'std::get' 'env("A");\n', 1),
    ("harness/a.cpp", "// get" "env is not called here\n", None),
    ("harness/cache.cpp", 'std::get' 'env("A");\n', None),
    ("harness/cache_test.cpp", 'std::get' 'env("A");\n', None),
    ("CMakeLists.txt", "add_compile_options(-ffast" "-math)\n", 1),
    ("CMakeLists.txt", "add_compile_options(-fno-fast" "-math) # not -ffast" "-math\n", None),
    ("CMakePresets.json", '{"CMAKE_CXX_FLAGS": "-march=' 'native"}\n', 1),
    ("ci/cmake/a.cmake", "set(flags -O" "fast)\n", 1),
    ("reports/page/a.ts", "x" * 111 + "\n", 1),
    ("reports/page/a.tsx", "const a = b as a" "ny;\n", 1),
    ("reports/page/a.ts", "function f(a: a" "ny): void {}\n", 1),
    ("reports/page/a.ts", "// if a" "ny: one, many\nconst company: number = 1;\n", None),
    ("reports/page/a.css", "/* TO" "DO */\n", 1),
    ("build/a.cpp", "// TO" "DO\n", None),
]


def self_test():
    failures = 0
    for file, text, line in PLANTED:
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            found = breaches(pathlib.Path(folder))
        expected = [] if line is None else [f"{file}:{line}"]
        if [":".join(breach.split(":")[:2]) for breach in found] != expected:
            failures += 1
            print(f"{file}: {text[:60]!r}...: expected a breach in line {line}, found {found}")
    print(f"{len(PLANTED)} planted texts, {failures} judged wrongly")
    return failures


def main(arguments):
    if arguments == ["--self-test"]:
        return 1 if self_test() else 0
    root = pathlib.Path(arguments[0] if arguments else pathlib.Path(__file__).parent.parent).resolve()
    found = breaches(root)
    for line in found:
        print(line)
    print(f"{len(list(files(root)))} files, {len(found)} breaches of style")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
