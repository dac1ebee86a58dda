#!/usr/bin/env python3
"""progress.py [OPTION...] -- COMMAND...: runs a command on a terminal of its own, and writes what a person sees.

    --columns N        width of the window (80); 0: not known, and programs take it for 80
    --term NAME        TERM (xterm)
    --press REGEX      Ctrl-C, as soon as a line on the screen fits; may be given again for the next
    frames             file: every state of a line that was drawn and then replaced
    screen             file: the lines that stay

Exits with the command's code, or 128 and its signal. Fails if the command takes over a minute, or wraps a line that it
redraws.
"""
import fcntl, os, pty, re, select, signal, struct, sys, termios, time


def run(command, columns, term, press):
    """Returns the bytes that the command wrote, in the pieces in which they came, and its status."""
    pid, terminal = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # what runs the tests may ignore it, as a shell's background does
        os.environ["TERM"] = term
        os.execvp(command[0], command)
    output, seen, end = b"", 0, time.monotonic() + 60
    while time.monotonic() < end:
        if not select.select([terminal], [], [], 0.05)[0]:
            continue
        try:
            piece = os.read(terminal, 65536)
        except OSError:
            piece = b""
        if not piece:
            break
        output += piece
        if press and re.search(press[0], output[seen:].decode("latin-1")):
            press.pop(0)
            seen = len(output)
            os.write(terminal, b"\x03")
    else:
        os.kill(pid, 9)
        sys.exit("progress.py: over a minute: " + output[-500:].decode("latin-1"))
    return output.decode("latin-1"), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def show(output):
    """Returns the lines that stay, and the states of lines that were replaced."""
    screen, frames, line, at = [], [], "", 0
    for part in re.findall(r"\033\[K|\r|\n|[^\033\r\n]+|\033", output):
        if part == "\033[K":
            if line and at == 0:
                frames.append(line)
            line = line[:at]
        elif part == "\r":
            at = 0
        elif part == "\n":
            screen.append(line)
            line, at = "", 0
        else:
            line = line[:at] + part + line[at + len(part):]
            at += len(part)
    return screen + [line] * bool(line), frames


def main():
    split = sys.argv.index("--")
    given = {"--columns": ["80"], "--term": ["xterm"], "--press": []}
    for name, value in zip(sys.argv[1:split:2], sys.argv[2:split:2]):
        given[name].append(value)
    columns = int(given["--columns"][-1])
    output, status = run(sys.argv[split + 1:], columns, given["--term"][-1], given["--press"])
    screen, frames = show(output)
    for name, lines in ("screen", screen), ("frames", frames):
        with open(name, "w") as file:
            file.writelines(line + "\n" for line in lines)
    wide = [frame for frame in frames if len(frame.replace("^C", "")) >= (columns or 80)]
    if wide:
        sys.exit("progress.py: wider than %d columns: %s" % ((columns or 80) - 1, wide[0]))
    sys.exit(128 - status if status < 0 else status)


main()
