#!/usr/bin/env bash
# sox 14.4.2 (Debian 12, sox 14.4.2+git20190427-3.5), libsndfile (soundfile 0.14.0), ffmpeg 7 (imageio-ffmpeg 0.6.0): sounds whose
# header was never completed, as a recorder leaves them that lost its power.
#
# Guess: all three ignore a RIFF size of 0, so they also read the samples behind a data size of 0; and BW64, which is RF64 by another
# name (ITU-R BS.2088), reads wherever RF64 reads.
# Seen: with a RIFF size of 0 all give every sample. With a data size of 0 ffmpeg gives every sample; sox exits 0 with an empty sound,
# and libsndfile opens it with 0 samples. Of the same sound as BW64 only ffmpeg gives samples.
# So a sound can be lost without an error by two common readers.
#
# Exits 0 while that is so, 1 when it has changed.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download -qq sox=14.4.2+git20190427-3.5 libsox3=14.4.2+git20190427-3.5 libsox-fmt-base=14.4.2+git20190427-3.5 \
    libpng16-16 libmagic1 libgsm1 libltdl7 libgomp1 libsndfile1 libmad0 libid3tag0 libvorbis0a libvorbisenc2 libvorbisfile3 \
    libogg0 libflac12 libopus0 libopusfile0 libopencore-amrnb0 libopencore-amrwb0 libwavpack1 libmp3lame0 libtwolame0 libmpg123-0
for deb in *.deb; do dpkg -x "$deb" root; done
python3 -m venv venv
venv/bin/pip -q install soundfile==0.14.0 numpy==2.4.6 imageio-ffmpeg==0.6.0
cat > sizes.py <<'END'
import io, os, struct, subprocess, wave
import imageio_ffmpeg, soundfile

file = io.BytesIO()
with wave.open(file, "wb") as out:
    out.setnchannels(1)
    out.setsampwidth(2)
    out.setframerate(8000)
    out.writeframes(bytes(range(200)) * 10)
b = file.getvalue()
sizes = struct.pack("<IQQQI", 28, len(b) + 28, len(b) - 44, 1000, 0)
long = b"\xff" * 4 + b"WAVEds64" + sizes + b[12:36] + b"data" + b"\xff" * 4 + b[44:]
files = {"riff-0.wav": b[:4] + bytes(4) + b[8:], "data-0.wav": b[:4] + bytes(4) + b[8:40] + bytes(4) + b[44:],
         "rf64.wav": b"RF64" + long, "bw64.wav": b"BW64" + long}
lib = "root/usr/lib/x86_64-linux-gnu"
for name, data in files.items():
    open(name, "wb").write(data)
    sox = subprocess.run(["root/usr/bin/sox", name, "-t", "raw", "-"], capture_output=True,
                         env={**os.environ, "LD_LIBRARY_PATH": lib})
    ffmpeg = subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", name, "-f", "s16le", "-"], capture_output=True)
    try:
        sndfile = len(soundfile.read(name)[0])
    except soundfile.LibsndfileError:
        sndfile = "refused"
    print(name, "sox", len(sox.stdout) // 2 if sox.returncode == 0 else "refused", "ffmpeg", len(ffmpeg.stdout) // 2, "libsndfile",
          sndfile)
END
venv/bin/python sizes.py | tee seen
diff seen - <<'END'
riff-0.wav sox 1000 ffmpeg 1000 libsndfile 1000
data-0.wav sox 0 ffmpeg 1000 libsndfile 0
rf64.wav sox 1000 ffmpeg 1000 libsndfile 1000
bw64.wav sox refused ffmpeg 1000 libsndfile refused
END
