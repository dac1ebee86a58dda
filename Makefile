# Wavelet Flow: `make help` lists the targets. Variables: CC=clang, SAN=1 (address and undefined-behaviour sanitizers),
# NVCC= (no CUDA), ARCH=x86-64-v3 (binaries for other machines), PREFIX=, DESTDIR=, V=1 (show the commands)
ifeq ($(origin CC),default)
CC = gcc
endif
ARCH ?= native
PREFIX ?= /usr/local
NVCC ?= $(shell command -v nvcc 2>/dev/null)
VERSION := $(shell sed -n 's/^.define WF_VERSION "\(.*\)"/\1/p' lib/meta.h)

# Each kind of build has its own folder; the plain one puts its programs in bin/.
comma = ,
B = build$(if $(SAN),-san)$(if $(findstring clang,$(CC)),-clang)
BIN = $(if $(B:build=),$B/bin,bin)

CFLAGS ?= $(if $(SAN),-O1,-O3) -g
WARN = -Wall -Wextra -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wundef -Werror
# What clang could not vectorize is no fault of the code.
WARN += $(if $(findstring clang,$(CC)),-Wno-pass-failed)
SANFLAGS = $(if $(SAN),-fsanitize=address$(comma)undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
ALL_CFLAGS = -std=c11 -D_GNU_SOURCE -fopenmp -ffp-contract=off -march=$(ARCH) $(WARN) $(CFLAGS) $(SANFLAGS)
# Built by clang, the program brings libomp, which also answers the calls that libdnnl makes to libgomp: one runtime, one pool.
LDLIBS = -ldnnl -llmdb -lpng -larchive -ljansson -lxxhash -lz -ldl -lm

Q = $(if $(V),,@)
LINK = $Q$(CC) $(ALL_CFLAGS) -o $@ $^
objects = $(patsubst %.c,$B/%.o,$(wildcard $(1)))
LIB = $(call objects,lib/*.c lib/*/*.c kernels/*.c kernels/ref/*.c kernels/cpu/*.c)
CLI = $B/tools/cli.o $B/libwf.a
TOOLS = $(patsubst tools/%.c,%,$(wildcard tools/wf-*.c))
CUDA = $(if $(NVCC),$(wildcard kernels/cuda/*.cu))
PLUGIN = $(if $(CUDA),$B/libwf-cuda.so)

.PHONY: all check check-ops check-pipes check-long bench bench-nuts bench-store lint format man install demo clean help
all: $(TOOLS:%=$(BIN)/%) $(PLUGIN) ## build every program into bin/

$B/libwf.a: $(LIB)
	@rm -f $@ && ar rcs $@ $^
$B/%.o: %.c
	@mkdir -p $(@D)
	@echo "cc $@"
	$Q$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<
# -rdynamic: the CUDA plugin calls back into the program's libwf.
$(BIN)/%: $B/tools/%.o $(CLI)
	@mkdir -p $(@D)
	$(LINK) -rdynamic $(LDLIBS)
$B/check: $(call objects,tests/*.c) $B/libwf.a
	$(LINK) -lcriterion $(LDLIBS)
$B/check-ops: $(call objects,tests/ops/*.c) $B/libwf.a
	$(LINK) $(LDLIBS)
$B/bench-level $B/bench-store: $B/bench-%: $B/tests/bench/bench_%.o $(CLI)
	$(LINK) $(LDLIBS)
$B/deadleaves: $B/data/deadleaves.o $(CLI)
	$(LINK) $(LDLIBS)
# -fmad=false, as -ffp-contract=off above: kernels/body/ gives the same bits on both.
$B/libwf-cuda.so: $(CUDA) $(wildcard kernels/*.h kernels/*/*.h)
	$(NVCC) -O3 -fmad=false -shared -Xcompiler -fPIC -o $@ $(CUDA) -lcudnn -lcublas

RUN = BIN=$(BIN) B=$B tests/run.sh
check: all $B/check $B/check-ops $B/deadleaves ## every test: Criterion, operators against the reference, pipes
	$(RUN) criterion ops pipes
check-ops: $B/check-ops ## every operator of every backend against the reference
	$(RUN) ops
check-pipes: all $B/deadleaves ## the programs, end to end
	$(RUN) pipes
check-long: all $B/deadleaves ## tests that take many minutes
	$(RUN) long
bench: $B/bench-level ## images per second against PyTorch: build/bench.json and the table in README.md
	tests/bench/bench.py $B/bench-level
bench-nuts: all $B/bench-level ## gradients per second against PyTorch, and with MODEL=DIR draws per second: README.md
	tests/bench/bench.py $B/bench-level --gradient
	$(if $(MODEL),tests/bench/draws.py $(BIN) $(MODEL))
bench-store: all $B/bench-store ## pictures to stores against libpng alone, random reads: the table in README.md
	tests/bench/bench-store.sh $(BIN) $B/bench-store
lint: ## formatting, include direction, file lengths, scripts, links
	tests/lint.sh
format: ## clang-format every C file in place
	tests/lint.sh --format
demo: all $B/deadleaves ## train on generated pictures, evaluate, sample and plot into out/demo
	@$(MAKE) --no-print-directory -f pipelines/demo.mk

man: $(TOOLS:%=$B/man/%.1) ## manual pages into build/man, from the programs' own option tables
$B/man/%.1: $(BIN)/%
	@mkdir -p $(@D)
	$< --help=man > $@.part && mv $@.part $@

# The headers lie side by side once installed, so their includes of one another lose the folder.
install: all man ## programs, library, headers, pkg-config, manual pages, completion; PREFIX=, DESTDIR=
	install -d $(addprefix $(DESTDIR)$(PREFIX)/,bin lib/pkgconfig include/wf share/man/man1 share/bash-completion/completions)
	install $(TOOLS:%=$(BIN)/%) $(DESTDIR)$(PREFIX)/bin
	install -m 644 $B/libwf.a $(PLUGIN) $(DESTDIR)$(PREFIX)/lib
	install -m 644 $(TOOLS:%=$B/man/%.1) $(DESTDIR)$(PREFIX)/share/man/man1
	for h in lib/*.h kernels/backend.h; do \
	    sed 's,"\.\./\(lib\|kernels\)/,",' $$h > $(DESTDIR)$(PREFIX)/include/wf/$${h##*/} || exit; done
	for t in $(TOOLS); do \
	    echo "complete -o default -W '$$($(BIN)/$$t --help=completion)' $$t" \
	        > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/$$t || exit; done
	printf '%s\n' 'Name: wf' 'Description: Wavelet Flow: exact likelihoods of images' 'Version: $(VERSION)' \
	    'Cflags: -I$(PREFIX)/include/wf' 'Libs: -L$(PREFIX)/lib -lwf $(LDLIBS) -fopenmp' \
	    > $(DESTDIR)$(PREFIX)/lib/pkgconfig/wf.pc

clean: ## remove everything that was built
	rm -rf build build-san build-clang build-san-clang bin
help: ## this list
	@sed -n 's/^\([a-z-]*\):.* ## \(.*\)/\1\t\2/p' Makefile | awk -F '\t' '{ printf "  make %-12s %s\n", $$1, $$2 }'
.SECONDARY:
-include $(shell find $B -name '*.d' 2>/dev/null)
