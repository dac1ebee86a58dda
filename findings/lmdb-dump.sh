#!/usr/bin/env bash
# lmdb-utils 0.9.24 (Debian 12), environments made by py-lmdb 1.6.2 (PyPI): do mdb_dump and mdb_load give back an environment?
#
# Guess: mdb_dump -a dumps all there is, and without -a the main database, so one of the two, loaded again, is the same environment.
# Seen: neither, and both end with exit code 0. With -a the records of the main database beside its subdatabases are left out. Without
# it, the copy has a record for each subdatabase, but no subdatabase can be opened: the record has lost the flag that says what it is.
# mdb_load also warns of the keyword db_pagesize, which is mdb_dump's own. A format that keeps its description in the main database,
# as many do, so loses it. mdb_copy copies everything.
#
# Needs apt-get download and python3-venv. Exits 0 while that is so, 1 when it has changed.
set -eu
export LC_ALL=C
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
cd "$work"
apt-get download -q lmdb-utils=0.9.24-1 > log 2>&1 || { cat log >&2; exit 69; }
dpkg -x lmdb-utils_*.deb tools
PATH=$work/tools/usr/bin:$PATH
python3 -m venv env
env/bin/pip --disable-pip-version-check -q install lmdb==1.6.2
cat > env.py << 'PY'
import sys

import lmdb

command, path = sys.argv[1:]
env = lmdb.open(path, max_dbs=2)
if command == "make":
    pictures = env.open_db(b"pictures")
    with env.begin(write=True) as txn:
        txn.put(b"meta", b"three pictures")
        for i in range(3):
            txn.put(b"%d" % i, b"pixels", db=pictures)
else:
    with env.begin() as txn:
        found = "meta" if txn.get(b"meta") else "no meta"
        try:
            count = txn.stat(env.open_db(b"pictures", txn=txn, create=False))["entries"]
        except lmdb.Error as error:
            count = type(error).__name__
    print(f"{found}, pictures: {count}")
PY
# copies NAME COMMAND...: shows the environment that the dump of COMMAND, loaded, makes in the folder NAME
copies() {
    local name=$1
    mkdir "$name"
    "${@:2}" | mdb_load "$name" 2> "$name.said"
    env/bin/python env.py show "$name"
}
mdb_dump -V
env/bin/python env.py make whole
mkdir copied
mdb_copy whole copied
{
    env/bin/python env.py show whole
    env/bin/python env.py show copied
    copies all mdb_dump -a whole
    copies main mdb_dump whole
} | tee seen
cat all.said
[ "$(grep -c 'unrecognized keyword ignored: db_pagesize' all.said)" = 1 ]
cat > expected << 'END'
meta, pictures: 3
meta, pictures: 3
no meta, pictures: 3
meta, pictures: IncompatibleError
END
diff expected seen
