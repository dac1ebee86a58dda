#!/usr/bin/env python3
"""complete.py SHELL INIT - types lines into an interactive shell and lets it complete them

SHELL is bash or zsh; INIT is a file that it reads first, with a full path. Each line of standard input is typed, and a key is
pressed: TAB or, for a line that ends in "*", the key that inserts all candidates.
Standard output has the words of the resulting command line, each between < and >. An open quote is closed for that.
"""
import os
import pty
import re
import select
import sys
import time

shell, init = sys.argv[1:3]
ALL = {"bash": b"\x1b*", "zsh": b"\x18"}[shell]
SETUP = {
    "bash": "bind 'set bell-style none'; bind 'set completion-query-items 0'; bind 'set enable-bracketed-paste off'",
    "zsh": "unsetopt zle_bracketed_paste prompt_cr beep list_beep; zle -C all-matches complete-word _generic; "
           "zstyle ':completion:all-matches:*' old-matches false; zstyle ':completion:all-matches:*' insert true; "
           "zstyle ':completion:all-matches::::' completer _all_matches _complete; bindkey '^X' all-matches",
}[shell]
COMMAND = {"bash": ["bash", "--noprofile", "--rcfile", init, "-i"], "zsh": ["zsh", "-f", "-i"]}[shell]


class Shell:
    def __init__(self):
        pid, self.fd = pty.fork()
        if pid == 0:
            os.environ.update(TERM="dumb", COLUMNS="2000", PS1="", HISTFILE="")
            os.execvp(COMMAND[0], COMMAND)
        self.seen = b""
        if shell == "zsh":
            self.type(b"PS1=; . " + init.encode() + b"\r")
        self.type(b"stty columns 2000; " + SETUP.encode() + b"; echo READY''NOW\r")
        self.wait(b"READYNOW")

    def type(self, text):
        os.write(self.fd, text)

    def wait(self, text, seconds=20):
        end = time.monotonic() + seconds
        while text not in self.seen and time.monotonic() < end:
            if select.select([self.fd], [], [], 0.05)[0]:
                try:
                    self.seen += os.read(self.fd, 65536)
                except OSError:
                    break
        if text not in self.seen:
            sys.exit("complete.py: %s did not print %r: %r" % (shell, text, self.seen[-2000:]))

    def pause(self):
        """Keeps keys from looking like pasted text. The shell takes them one after the other however long each takes."""
        while select.select([self.fd], [], [], 0.05)[0]:
            self.seen += os.read(self.fd, 65536)


s = Shell()
for line in sys.stdin.read().splitlines():
    s.seen = b""
    key, typed = (ALL, line[:-1]) if line.endswith("*") else (b"\t", line)
    quote = "'" if typed.count("'") % 2 else ""
    s.type(typed.encode())
    s.pause()
    s.type(key)
    s.pause()
    s.type(quote.encode() + b"\x01" + b"printf '<%s>' START '' \x05; echo ''E''ND\r")
    s.wait(b"END\r")
    found = re.findall(rb"<START><>(.*?)END\r", s.seen, re.S)
    print(found[-1].decode().replace("\r", "").replace("\n", "") if found else "?")
