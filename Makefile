# Wavelet Flow: `make help` lists the targets. Variables: CC=clang, SAN=1 (address and undefined-behaviour sanitizers),
# NVCC= (no CUDA), MPICC= (no MPI), DIST=1 (binaries for every machine), ARCH=x86-64-v3 (for one),
# CC=aarch64-linux-gnu-gcc (for another kind), ONEDNN=DIR (oneDNN 2 or 3 in DIR/include and DIR/lib), ISA=AVX2 (a build to
# measure such a processor on a newer one), PREFIX=, DESTDIR=, V=1 (show the commands)
ifeq ($(origin CC),default)
CC = gcc
endif
MACHINE := $(shell $(CC) -dumpmachine 2>/dev/null | cut -d - -f 1)
# The instructions that every machine of this kind has, those of DIST=1, and those that DIST=1 compiles kernels/cpu for besides.
BASELINE = $(if $(filter x86_64,$(MACHINE)),x86-64,$(if $(filter aarch64,$(MACHINE)),armv8-a))
PORTABLE = $(if $(filter x86_64,$(MACHINE)),x86-64-v3,$(BASELINE))
WIDE = $(if $(DIST),$(if $(filter x86_64,$(MACHINE)),x86-64-v4))
# A compiler for another kind of machine has no "native".
NATIVE := $(shell $(CC) -march=native -E -x c /dev/null > /dev/null 2>&1 && echo native)
ARCH ?= $(if $(DIST)$(ISA),$(PORTABLE),$(or $(NATIVE),$(BASELINE)))
# The kind of machine that a compiler names, as aarch64-linux-gnu-gcc does.
CROSS = $(patsubst %-gcc,%,$(filter %-gcc,$(notdir $(firstword $(CC)))))
PREFIX ?= /usr/local
ifneq ($(word 2,$(DESTDIR)$(PREFIX)),)
$(error PREFIX, DESTDIR: found '$(DESTDIR)$(PREFIX)', expected a folder without blanks in its name)
endif
OBJCOPY ?= objcopy
NVCC ?= $(shell command -v nvcc 2>/dev/null)
VERSION := $(shell packaging/version.sh)

# Each kind of build has its own folder; the plain one puts its programs in bin/.
comma = ,
B = build$(CROSS:%=-%)$(if $(SAN),-san)$(if $(ONEDNN),-onednn)$(if $(COVERAGE),-coverage)$(if $(findstring clang,$(CC)),-clang)$(if $(FUZZ),-fuzz)$(if $(DIST),-dist)$(ISA:%=-%)
BIN = $(if $(B:build=),$B/bin,bin)

CFLAGS ?= $(if $(SAN)$(COVERAGE),-O1,-O3) -g $(if $(COVERAGE),--coverage -fprofile-update=atomic)
WARN = -Wall -Wextra -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wundef -Werror
# clang warns of loops that it could not vectorize; they are right nevertheless.
WARN += $(if $(findstring clang,$(CC)),-Wno-pass-failed)
SANFLAGS = $(if $(SAN),-fsanitize=address -fsanitize=undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
SANFLAGS += $(if $(FUZZ),-fsanitize=fuzzer-no-link)
# Nothing asks for floating-point exceptions, and where they need not be kept, loops with exp and tanh become vectors.
ALL_CFLAGS = -std=c11 -D_GNU_SOURCE -fopenmp -ffp-contract=off -fno-trapping-math $(ARCH:%=-march=%) $(WARN) $(CFLAGS) $(SANFLAGS)
ALL_CFLAGS += $(if $(ONEDNN),-isystem $(ONEDNN)/include)
# Files that use tiles, the registers of AMX, which other files do without: no compiler may use them by itself.
TILES = kernels/cpu/amx_%.o tests/tiles/%.o tests/bench/peak.o
TILES_CFLAGS = $(if $(filter x86_64,$(MACHINE)),-mamx-tile -mamx-bf16)
# Built by clang, the program brings libomp, which also answers the calls that libdnnl makes to libgomp: one runtime, one pool.
LDLIBS = $(if $(ONEDNN),-L$(ONEDNN)/lib -Wl$(comma)-rpath$(comma)$(abspath $(ONEDNN)/lib)) -ldnnl -llmdb -lpng -ljpeg -lwebp -lsndfile -larchive -ljansson -lxxhash -ldeflate -lz -ldl -lm
# Packages: hardened as Debian asks, and without the name of the folder that they were built in.
ifdef DIST
PREFIX_MAP = -ffile-prefix-map='$(subst ','\'',$(CURDIR))'=.
ALL_CFLAGS += -D_FORTIFY_SOURCE=2 $(PREFIX_MAP)
LDLIBS += -Wl,-z,relro,-z,now
endif

Q = $(if $(V),,@)
# -rdynamic: the CUDA plugin calls back into the program's libwf.
LINK = $Q$(CC) $(ALL_CFLAGS) -rdynamic -o $@ $^
# Sorted: the order that wildcard gives depends on the locale.
objects = $(patsubst %.c,$B/%.o,$(sort $(wildcard $(1))))
CPU = $(call objects,kernels/cpu/*.c)
LIB = $(filter-out $B/lib/ranks/mpi/%,$(call objects,lib/*/*.c lib/*/*/*.c)) $(call objects,kernels/*.c kernels/ref/*.c) $(if $(WIDE),$(call objects,kernels/variants/*.c) $B/cpu_v3.o $B/cpu_v4.o,$(CPU))
CLI = $B/tools.a $B/libwf.a
STARTUP = $(call objects,tools/startup/*.c)
TOOLS = $(patsubst tools/%.c,%,$(sort $(wildcard tools/wf-*.c))) wf-decode
CUDA = $(if $(NVCC),$(sort $(wildcard kernels/cuda/*.cu)))
FUZZERS = $(or $(TARGET),$(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/*.c)))
# A plugin is of one MPI: that of mpicc, or of MPICC=mpicc.mpich.
MPICC ?= $(if $(CROSS),,$(shell command -v mpicc 2>/dev/null))
PLUGIN = $(if $(CUDA),$B/libwf-cuda.so) $(if $(MPICC),$B/libwf-mpi.so)

.PHONY: FORCE all portable tidy coverage emulated check check-fast check-ops check-onednn check-pipes check-gpu device-kit kit-programs device-report check-spills check-long mutants fuzz fuzz-run bench bench-compile bench-jobs bench-gpu bench-nuts bench-store bench-dwt lint format man completion install dist deb deb-run image demo clean help
all: $(TOOLS:%=$(BIN)/%) $(PLUGIN) $(if $(filter $B/bin,$(BIN)),$B/data/leaves $B/pipelines) ## build every program into bin/
portable: ## programs for every machine into build-dist/bin, as DIST=1 does for every target
	@$(MAKE) --no-print-directory DIST=1 all

$B/libwf.a: $(LIB)
$B/tools.a: $(filter-out $B/tools/wf-% $B/tools/manual.o,$(call objects,tools/*.c))
$B/libwf.a $B/tools.a:
	@rm -f $@ && ar rcs $@ $^
# Checks headers and libraries before the first file is compiled. Another CC, ARCH or ONEDNN compiles all again.
$B/needs-all $B/needs-check: $B/needs-%: needs.sh
	@mkdir -p $(@D)
	@ONEDNN='$(ONEDNN)' ./needs.sh $* '$(CC)' $(ALL_CFLAGS) $(if $(filter all,$*),$(LDLIBS),-lcriterion)
	@echo '$(built_by)' > $@
built_by = CC=$(CC) ARCH=$(ARCH) ONEDNN=$(abspath $(ONEDNN));
$(foreach n,$B/needs-all $B/needs-check,$(if $(findstring $(built_by),$(file < $n)),,$(eval $n: always)))
.PHONY: always
$(call objects,tests/*.c): $B/needs-check
$(foreach t,$(TILES),$B/$t $B/v4/$t): private ALL_CFLAGS += $(TILES_CFLAGS)
$B/%.o: %.c $B/needs-all
	@mkdir -p $(@D)
	@echo "cc $@"
	$Q$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<
# A new version compiles this object alone.
$B/version: FORCE
	@mkdir -p $(@D)
	@echo '$(VERSION)' | cmp -s - $@ || echo '$(VERSION)' > $@
$B/lib/base/version.o: $B/version
$B/lib/base/version.o: private ALL_CFLAGS += -DWF_BUILD_VERSION='"$(VERSION)"'
# The check that a program does first is compiled for the oldest machine.
$B/tools/startup/processor.o: private ALL_CFLAGS = -std=c11 -D_GNU_SOURCE -O2 -g $(BASELINE:%=-march=%) $(WARN) $(PREFIX_MAP)
$(TOOLS:%=$(BIN)/%) $B/check $B/check-ops $B/check-direct $B/check-tiles $B/check-tiles-emulated $B/check-ops-tiles $B/bench-level $B/bench-store $B/bench-dwt $B/deadleaves $B/coherence $B/manual $(FUZZERS:%=$B/fuzz-%): $(STARTUP)
# A program whose table has an instruction that no machine has, and a constructor that would run next.
$B/planted.o: tools/startup/built_for.c $B/needs-all
	$Q$(CC) $(ALL_CFLAGS) -DWF_PLANT_FEATURE -c -o $@ $<
$B/wf-planted: $B/tools/wf-info.o $B/tests/startup/early.o $B/planted.o $B/tools/startup/processor.o $(CLI)
	$(LINK) $(LDLIBS)
# Two builds of kernels/cpu in one program: each becomes one object with one name, that of its opener.
$B/cpu_v3.o: $(CPU)
$B/cpu_v4.o: $(CPU:$B/%=$B/v4/%)
$B/cpu_v3.o $B/cpu_v4.o: $B/cpu_%.o:
	@echo "ld $@"
	$Q$(LD) -r -o $@.all $^ && $(OBJCOPY) --redefine-sym wf_cpu_open=wf_cpu_open_$* --keep-global-symbol=wf_cpu_open_$* $@.all $@ && rm $@.all
$B/v4/%.o: private override ARCH = $(WIDE)
$B/v4/%.o: %.c $B/needs-all
	@mkdir -p $(@D)
	@echo "cc $@"
	$Q$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<
$(BIN)/%: $B/tools/%.o $(CLI)
	@mkdir -p $(@D)
	$(LINK) $(LDLIBS)
# A program DIR/bin/NAME looks for models in DIR/data, and for makefiles in DIR/pipelines.
$B/data/leaves $B/pipelines: $B/%:
	@mkdir -p $(@D) && ln -sfn "$$PWD/$*" $@
# One program, which goes by the name that it is called.
$(BIN)/wf-decode: $(BIN)/wf-encode
	@ln -f $< $@
$B/check: $(call objects,tests/*.c) $B/libwf.a
	$(LINK) -lcriterion $(LDLIBS)
$B/check-ops: $(call objects,tests/ops/*.c) $B/libwf.a
	$(LINK) $(LDLIBS)
# The convolutions of processors other than x86-64, on this one.
$B/direct/%.o: kernels/cpu/%.c $B/needs-all
	@mkdir -p $(@D)
	@echo "cc $@"
	$Q$(CC) $(ALL_CFLAGS) -DWF_CPU_DIRECT=1 -MMD -MP -c -o $@ $<
$B/check-direct: $(call objects,tests/ops/*.c) $B/direct/conv_dispatch.o $B/direct/conv_tiny.o $B/libwf.a
	$(LINK) $(LDLIBS)
# The convolutions of processors with AMX, on this one if it has AMX, and on emulated tiles.
$B/check-tiles: $B/tests/tiles/check_tiles.o $(call objects,kernels/cpu/amx_*.c)
	$(LINK) $(LDLIBS)
$B/tiles/%.o: %.c $B/needs-all
	@mkdir -p $(@D)
	@echo "cc $@"
	$Q$(CC) $(ALL_CFLAGS) -DWF_TILES_EMULATED -MMD -MP -c -o $@ $<
# Its slots, on emulated tiles.
$B/check-ops-tiles: $(call objects,tests/ops/*.c) $(patsubst $B/%,$B/tiles/%,$(call objects,kernels/cpu/amx_*.c kernels/cpu/conv_tiles.c)) $B/libwf.a
	$(LINK) $(LDLIBS)
$B/check-tiles-emulated: $B/tiles/tests/tiles/check_tiles.o $(patsubst $B/%,$B/tiles/%,$(call objects,kernels/cpu/amx_*.c))
	$(LINK) $(LDLIBS)
$B/fuzz-%: $B/tests/fuzz/%.o $B/libwf.a
	$(LINK) -fsanitize=fuzzer $(LDLIBS)
$B/bench-level: $(call objects,$(addprefix tests/bench/,workload.c peak.c slots.c groups.c))
$B/bench-level $B/bench-store $B/bench-dwt: $B/bench-%: $B/tests/bench/bench_%.o $(CLI)
	$(LINK) $(LDLIBS)
$B/deadleaves $B/coherence: $B/%: $B/data/%.o $(CLI)
	$(LINK) $(LDLIBS)
# One binary for every card from compute capability 8.0 on. -fmad=false, as -ffp-contract=off above: kernels/body/ gives the
# same bits on both.
CUDA_ARCHS = arch=compute_80,code=sm_80 arch=compute_90a,code=sm_90a arch=compute_80,code=compute_80
NVCC_FLAGS = -std=c++17 -O3 -fmad=false -Werror all-warnings -Xptxas -v -Xcompiler -fPIC$(comma)-Wall$(comma)-Wextra$(comma)-O2
$B/%.cu.o: %.cu
	@mkdir -p $(@D)
	@echo "nvcc $@"
	$Q$(NVCC) $(NVCC_FLAGS) $(CUDA_ARCHS:%=-gencode %) -MMD -MF $(@:.o=.d) -c -o $@ $< 2> $@.log || { cat $@.log >&2; rm -f $@; exit 1; }
$B/libwf-cuda.so: $(CUDA:%=$B/%.o)
	$Q$(NVCC) -shared -o $@ $^ -lcudnn -lcublasLt

# wf_fail is the program's.
$B/libwf-mpi.so: lib/ranks/mpi/mpi.c $B/mpi-built-by
	@echo "mpicc $@"
	$Q$(MPICC) $(filter-out -march=% -fopenmp -fsanitize=% -fno-sanitize-recover=% --coverage,$(ALL_CFLAGS)) -fPIC -shared -o $@ $<
$B/mpi-built-by: FORCE
	@mkdir -p $(@D)
	@echo '$(MPICC)' | cmp -s - $@ || echo '$(MPICC)' > $@

# A library to preload, in which calls for memory fail.
$B/faults-memory.so: tests/faults/memory.c $B/needs-all
	@mkdir -p $(@D)
	@echo "cc $@"
	$Q$(CC) -std=c11 -D_GNU_SOURCE -O1 -g $(WARN) -fPIC -shared -o $@ $<

$B/check-engines: $B/tests/gpu/engines.cu.o $B/kernels/cuda/graph.cu.o $B/lib/base/status.o $B/lib/base/number.o
	$Q$(NVCC) $(addprefix -Xcompiler ,$(filter -fsanitize=%,$(SANFLAGS))) -o $@ $^ -lcudnn

# Faults that compute-sanitizer must find.
$B/planted: $B/tests/gpu/planted.cu.o
	$Q$(NVCC) -o $@ $^

# The CUDA backend for machines without CUDA, for tests: compiled by the C++ compiler, run by tests/emulated. Programs look
# for the plugin in their own folder, so those that test it are copied there.
CXX = $(if $(findstring clang,$(CC)),clang++,g++)
E = $B/emulated
CXXFLAGS = -std=c++17 -O2 -g -ffp-contract=off -fPIC -DWF_EMULATED -Itests/emulated $(filter -Wall -Wextra -Werror,$(WARN)) -MMD -MP
FAULTS = $(patsubst tests/emulated/%.cpp,$E/%.o,$(wildcard tests/emulated/faults*.cpp))
STANDIN = $(filter-out $(FAULTS),$(patsubst tests/emulated/%.cpp,$E/%.o,$(wildcard tests/emulated/*.cpp)))
EMULATED = $(patsubst kernels/cuda/%.cu,$E/%.o,$(wildcard kernels/cuda/*.cu)) $(STANDIN)
$E/%.o: kernels/cuda/%.cu
	@mkdir -p $(@D)
	@echo "c++ $@"
	$Q$(CXX) $(CXXFLAGS) -x c++ -c -o $@ $<
$E/%.o: tests/emulated/%.cpp
	@mkdir -p $(@D)
	@echo "c++ $@"
	$Q$(CXX) $(CXXFLAGS) -c -o $@ $<
$E/libwf-cuda.so: $(EMULATED)
	$Q$(CXX) -shared -o $@ $^
# Faults that the stand-in must find.
$E/faults: $(FAULTS) $(STANDIN)
	$Q$(CXX) -o $@ $^ -pthread
$E/check-ops $E/bench-level: $E/%: $B/%
	@mkdir -p $(@D) && cp $< $@
$(TOOLS:%=$E/%): $E/%: $(BIN)/%
	@mkdir -p $(@D) && cp $< $@
emulated: $E/libwf-cuda.so $E/check-ops $E/bench-level $E/faults $(TOOLS:%=$E/%)

RUN = BIN=$(BIN) B=$B tests/run.sh
CHECKS = all $B/check $B/check-ops $B/check-direct $B/check-tiles $B/check-tiles-emulated $B/check-ops-tiles $B/deadleaves $B/coherence $B/wf-planted $B/bench-level $B/faults-memory.so
check: $(CHECKS) $(if $T,,$(patsubst %.c,$B/%.o,$(wildcard tests/fuzz/*.c)) $(if $(CUDA),$B/check-engines)) $(if $(filter-out emulated pipes/emulated pipes/faults pipes/kit,$T),,emulated) $(if $(filter-out pipes/cpus pipes/kit,$T)$(B:build=),,portable) ## every test: Criterion, operators against the reference, pipes. T=suite/test, T=ops/SLOT, T=pipes/NAME: that one
	$(RUN) $(or $T,criterion ops direct tiles emulated engines pipes)
check-fast: $(CHECKS) ## what takes under a minute of the same
	$(RUN) fast
check-ops: $B/check-ops ## every operator of every backend against the reference
	$(RUN) ops
check-onednn: ## every operator with oneDNN 3.2 from PyPI, where the system has another; SAN=1: and leaks of descriptors
	@tests/onednn.sh build/onednn-3.2
	@$(MAKE) --no-print-directory ONEDNN=build/onednn-3.2 check-ops
check-pipes: all $B/deadleaves $B/coherence $B/wf-planted $B/bench-level $B/faults-memory.so emulated portable ## the programs, end to end
	$(RUN) pipes
# The kit: programs for every x86-64 machine, which find their libraries in ../lib, and the plugin of the plain build.
KIT ?= build-kit
KIT_PLUGIN ?= build/libwf-cuda.so
KIT_PLANTED = $(if $(filter build/libwf-cuda.so,$(KIT_PLUGIN)),build/planted)
KIT_BIN = wf-dwt wf-idwt wf-info wf-train-level wf-bpd wf-sample wf-nuts
KIT_PROGRAMS = $(KIT_BIN:%=$B/kit/bin/%) $(addprefix $B/kit/build/,check-ops bench-level deadleaves)
KIT_RPATH = -Wl,--as-needed,--disable-new-dtags -Wl,-rpath,'$$ORIGIN/../lib'
device-kit: ## what a machine with a card needs, packed into build-kit; KIT= another folder, PEER= the peer's program
	$(if $(NVCC)$(filter-out build/libwf-cuda.so,$(KIT_PLUGIN)),,$(error device-kit: no nvcc: install CUDA and cuDNN, or name it by NVCC=))
	@$(MAKE) --no-print-directory $(KIT_PLUGIN) $(KIT_PLANTED)
	@$(MAKE) --no-print-directory DIST=1 NVCC= kit-programs
	@tests/gpu/kit.sh $(KIT) build-dist/kit $(KIT_PLUGIN) $(KIT_PLANTED)
kit-programs: $(KIT_PROGRAMS)
$(KIT_PROGRAMS): $(STARTUP)
$(KIT_BIN:%=$B/kit/bin/%): $B/kit/bin/%: $B/tools/%.o $(CLI)
$B/kit/build/check-ops: $(call objects,tests/ops/*.c) $B/libwf.a
$B/kit/build/bench-level: $(call objects,$(addprefix tests/bench/,bench_level.c workload.c peak.c slots.c groups.c)) $(CLI)
$B/kit/build/deadleaves: $B/data/deadleaves.o $(CLI)
$(KIT_PROGRAMS):
	@mkdir -p $(@D)
	$(LINK) $(KIT_RPATH) $(LDLIBS)
# On a machine with a card; neither builds anything.
has_kit = [ -x $(KIT)/on-device.sh ] || { echo "$@: no $(KIT)/on-device.sh: run make device-kit where nvcc is, and copy the folder here"; exit 66; }
DEVICE_OUT = $(CURDIR)/build/device
check-gpu: ## on a machine with a card, at most 9 minutes: the kit's operators, programs and sanitizers; then make device-report
	@$(has_kit)
	OUT=$(DEVICE_OUT) $(KIT)/on-device.sh env ops train programs sanitize
device-report: ## files of tests/gpu/on-device.sh in FROM=FOLDER into tests/gpu/results.txt and the tables
	tests/gpu/report.py $(or $(FROM),$(DEVICE_OUT))
check-spills: $(PLUGIN) ## no kernel keeps registers in memory, as the compiler reports it
	tests/gpu/spills.sh $B/kernels/cuda
check-long: all $B/deadleaves $B/faults-memory.so ## tests that take many minutes
	$(RUN) long
mutants: all $B/check $B/deadleaves $B/coherence ## breaks the code in sixty places, one at a time, and expects tests to fail; M="ID ...": these only
	tests/mutants.sh $(M)
fuzz: ## every parser with bytes that libFuzzer makes up, for SECONDS=60 each; needs clang. TARGET=NAME: that one only
	@$(MAKE) --no-print-directory CC=clang SAN=1 FUZZ=1 fuzz-run
fuzz-run: $(FUZZERS:%=$B/fuzz-%)
	@for t in $(FUZZERS); do mkdir -p $B/corpus/$$t && echo "fuzz: $$t" && \
	    $B/fuzz-$$t -max_total_time=$(or $(SECONDS),60) -timeout=10 -max_len=65536 -print_final_stats=1 \
	    -artifact_prefix=$B/$$t- $B/corpus/$$t tests/fuzz/corpus/$$t > $B/fuzz-$$t.log 2>&1 || \
	    { tail -n 40 $B/fuzz-$$t.log; exit 1; }; grep -E '^(Done|stat::number)' $B/fuzz-$$t.log; done
BENCH = tests/bench/bench.py $B/bench-level $(if $(ROWS),--rows '$(ROWS)') $(MINUTES:%=--minutes %) $(ISA:%=--isa %)
bench: $B/bench-level ## images per second against PyTorch: tests/bench/README.md and README.md; ROWS='train:4 bpd:5', MINUTES=1.4, ISA=AVX2
	$(BENCH)
bench-nuts: all $B/bench-level ## gradients per second against PyTorch, and with MODEL=DIR draws per second: tests/bench/README.md
	$(BENCH) --gradient
	$(if $(MODEL),tests/bench/draws.py $(BIN) $(MODEL))
bench-compile: $B/bench-level ## let torch.compile do its work for the rows of bench and bench-nuts, minutes each, so that they measure it too
	$(BENCH) --compile $(if $(ROWS),,&& $(BENCH) --compile --gradient)
bench-jobs: all $B/bench-level $B/deadleaves ## seconds, memory and growth of whole jobs beside other programs: tests/bench/README.md
	tests/bench/bench_jobs.py $(BIN) $B
bench-gpu: ## on a machine with a card, at most 9 minutes: training of every level beside PyTorch; then make device-report
	@$(has_kit)
	OUT=$(DEVICE_OUT) ROWS="$$(tests/bench/bench_gpu.py rows)" $(KIT)/on-device.sh env bench peer compile
bench-store: all $B/bench-store ## pictures to stores against libpng alone, random reads, printed as the table of tests/bench/README.md
	tests/bench/bench-store.sh $(BIN) $B/bench-store
bench-dwt: $B/bench-dwt ## one halving and its inverse against a copy of the same bytes, printed as the table of tests/bench/README.md
	$B/bench-dwt
tidy: ## clang-tidy and the clang analyzer over library and programs
	@printf '%s\n' lib/*/*.c lib/*/*/*.c kernels/*.c kernels/cpu/*.c kernels/variants/*.c tools/*.c tools/startup/*.c | \
	    xargs -P $(or $(JOBS),2) -I{} clang-tidy -quiet {} -- -std=c11 -D_GNU_SOURCE -fopenmp $(ARCH:%=-march=%) $(TILES_CFLAGS)
coverage: ## which lines the tests run, a line for each room, and all of it in build-coverage/index.html
	@$(MAKE) --no-print-directory COVERAGE=1 NVCC= all build-coverage/check build-coverage/check-ops build-coverage/check-direct build-coverage/deadleaves build-coverage/coherence build-coverage/wf-planted
	-BIN=build-coverage/bin B=build-coverage tests/run.sh criterion ops direct pipes > build-coverage/log
	@tail -n 1 build-coverage/log
	@gcovr -r . build-coverage --json-summary build-coverage/summary.json --html-details build-coverage/index.html > /dev/null
	@tests/coverage.sh build-coverage/summary.json
lint: ## formatting, include direction, file lengths, scripts, links
	tests/lint.sh
format: ## clang-format every C file in place
	tests/lint.sh --format
demo: all $B/deadleaves ## train on generated pictures, evaluate, sample and plot into out/demo
	@$(MAKE) --no-print-directory -f pipelines/demo.mk

PAGES = $(patsubst tools/man/%.in,%,$(wildcard tools/man/*.in))
man: $(TOOLS:%=$B/man/%.1) $(PAGES:%=$B/man/%) ## manual pages into build/man, from the programs' option tables and the registries
$B/manual: $B/tools/manual.o $(CLI)
	$(LINK) $(LDLIBS)
$(PAGES:%=$B/man/%): $B/man/%: tools/man/%.in $B/manual $(TOOLS:%=$(BIN)/%)
	@mkdir -p $(@D)
	for t in $(TOOLS); do $(BIN)/$$t --help | head -n 1; done | $B/manual $< > $@.part && mv $@.part $@
$B/man/%.1: $(BIN)/%
	@mkdir -p $(@D)
	$< --help=man > $@.part && mv $@.part $@

completion: $B/completion/wf.bash $B/completion/_wf
$B/completion/%: tools/completion/% $B/manual $(TOOLS:%=$(BIN)/%)
	@mkdir -p $(@D)
	for t in $(TOOLS); do $(BIN)/$$t --help=completion; done | $B/manual $< > $@.part
	sed -i 's/@PROGRAMS/$(TOOLS)/' $@.part && mv $@.part $@

# Headers keep their folders below include/wf, where the backends' contract lies beside lib's rooms. A header whose first line
# says "private to lib/ROOM" is not installed.
PUBLIC = $(filter-out $(PRIVATE),$(patsubst lib/%,%,$(wildcard lib/*.h lib/*/*.h)))
PRIVATE = $(patsubst lib/%,%,$(shell grep -lE '^/\* [a-z_]+\.h - private to lib/' lib/*/*.h))
LIBDIR = lib
ZSHDIR = share/zsh/site-functions
install: all man completion $B/deadleaves $B/coherence ## programs, library, headers, pkg-config, manual pages, completion, pipelines, model; PREFIX=, DESTDIR=
	install -d $(addprefix $(DESTDIR)$(PREFIX)/,bin $(LIBDIR)/pkgconfig include/wf libexec/wavelet-flow share/man/man1 share/man/man5 \
	    share/man/man7 share/bash-completion/completions $(ZSHDIR) share/wavelet-flow/pipelines/systems $(if $(wildcard data/leaves/*),share/wavelet-flow/models/leaves))
	install $(filter-out %/wf-decode,$(TOOLS:%=$(BIN)/%)) $(DESTDIR)$(PREFIX)/bin
	ln -sf wf-encode $(DESTDIR)$(PREFIX)/bin/wf-decode
	install $B/deadleaves $B/coherence $(DESTDIR)$(PREFIX)/libexec/wavelet-flow
	install -m 644 $(wildcard $(addprefix pipelines/*.,awk css gp mk tsv)) $(DESTDIR)$(PREFIX)/share/wavelet-flow/pipelines
	install pipelines/*.sh $(DESTDIR)$(PREFIX)/share/wavelet-flow/pipelines
	install -m 644 pipelines/systems/*.chain $(DESTDIR)$(PREFIX)/share/wavelet-flow/pipelines/systems
	install pipelines/systems/*.sh $(DESTDIR)$(PREFIX)/share/wavelet-flow/pipelines/systems
	install -m 644 $B/libwf.a $(PLUGIN) $(DESTDIR)$(PREFIX)/$(LIBDIR)
	$(if $(wildcard data/leaves/*),install -m 644 data/leaves/* $(DESTDIR)$(PREFIX)/share/wavelet-flow/models/leaves)
	install -m 644 tools/wavelet_flow.py $(DESTDIR)$(PREFIX)/share/wavelet-flow
	install -m 644 $(TOOLS:%=$B/man/%.1) $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 $(patsubst %,$B/man/%,$(filter %.5,$(PAGES))) $(DESTDIR)$(PREFIX)/share/man/man5
	install -m 644 $(patsubst %,$B/man/%,$(filter %.7,$(PAGES))) $(DESTDIR)$(PREFIX)/share/man/man7
	for h in $(PUBLIC:%=lib/%) kernels/backend.h; do to=$(DESTDIR)$(PREFIX)/include/wf/$${h#lib/}; install -d $${to%/*} && \
	    sed 's,"\.\./\.\./kernels/,"../kernels/,; s,"\.\./lib/,"../,' $$h > $$to || exit; done
	install -m 644 $B/completion/wf.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/wf
	for t in $(TOOLS); do ln -sf wf $(DESTDIR)$(PREFIX)/share/bash-completion/completions/$$t || exit; done
	install -m 644 $B/completion/_wf $(DESTDIR)$(PREFIX)/$(ZSHDIR)
	printf '%s\n' 'Name: wf' 'Description: Wavelet Flow: exact likelihoods of images' 'Version: $(VERSION)' \
	    'Cflags: -I$(PREFIX)/include' 'Libs: -L$(PREFIX)/$(LIBDIR) -lwf $(LDLIBS) -fopenmp -rdynamic' \
	    > $(DESTDIR)$(PREFIX)/$(LIBDIR)/pkgconfig/wf.pc

dist: ## the last commit as build/wavelet-flow-VERSION.tar.gz, which builds without git
	@packaging/dist.sh $B
deb: ## Debian packages for every processor with AVX2, without root and without CUDA: build-dist/deb/*.deb
	@$(MAKE) --no-print-directory DIST=1 NVCC= deb-run
deb-run: all man completion $B/deadleaves $B/coherence
	rm -rf $B/deb
	@$(MAKE) --no-print-directory install DESTDIR=$B/deb/tree PREFIX=/usr LIBDIR=lib/$$($(CC) -print-multiarch) \
	    ZSHDIR=share/zsh/vendor-completions > /dev/null
	packaging/deb.sh $B/deb '$(VERSION)'

# A tag has no "~" and no "+".
ENGINE ?= $(firstword $(notdir $(shell command -v podman buildah docker)))
image: ## a container image of the last commit; BASE= its Debian, ENGINE=podman, buildah or docker
	$(if $(ENGINE),,$(error no podman, buildah or docker is here: install one, or name it by ENGINE=))
	rm -rf $B/image
	@packaging/dist.sh $B/image
	$(ENGINE) build $(if $(BASE),--build-arg BASE=$(BASE)) -f packaging/Containerfile -t wavelet-flow \
	    -t wavelet-flow:$(subst +,-,$(subst ~,-,$(VERSION))) $B/image

clean: ## remove everything that was built
	rm -rf build build-* bin
help: ## this list
	@sed -n 's/^\([a-z-]*\):.* ## \(.*\)/\1\t\2/p' Makefile | awk -F '\t' '{ printf "  make %-12s %s\n", $$1, $$2 }'
.SECONDARY:
-include $(shell find $B -name '*.d' 2>/dev/null)
