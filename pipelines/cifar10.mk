# cifar10.mk - CIFAR-10 binaries to bits per dimension, samples and curves:
#
#     make -f pipelines/cifar10.mk DATA=cifar-10-batches-bin MINUTES=30
#
# DATA is a folder with data_batch_*.bin and test_batch.bin as they are distributed, or any files *train*.bin[.gz] and
# *test*.bin[.gz] of the same layout; TRAIN= and TEST= name other files. The last HELD training pictures choose when to
# stop and are not trained on. Further files in ALSO= are evaluated too. Run again, it resumes; with more MINUTES, the
# levels train on.
OUT ?= out/cifar10
MINUTES ?= 30
HELD ?= 500
TRAIN ?= $(sort $(or $(wildcard $(DATA)/data_batch_*.bin),$(wildcard $(DATA)/*train*.bin $(DATA)/*train*.bin.gz)))
TEST ?= $(firstword $(wildcard $(DATA)/test_batch.bin $(DATA)/*test*.bin $(DATA)/*test*.bin.gz))
ALSO ?= $(wildcard $(DATA)/cifar10_lossless*.bin)
REFERENCES ?= $(if $(findstring jpegsrc,$(TEST)),$(ROOT)/pipelines/cifar10-jpegsrc.tsv)
ifeq ($(and $(TRAIN),$(TEST)),)
$(error no training or no test pictures: give DATA=folder, or TRAIN=files and TEST=file)
endif

LEVELS = 5 4 3 2 1 0
SHARE_5 ?= 50
SHARE_4 ?= 30
SHARE_3 ?= 14
SHARE_2 ?= 3
SHARE_1 ?= 1.5
SHARE_0 ?= 1.5
# Chosen on two cores for minutes, not days: many small steps of few pictures, and shallow nets, reach lower bits/dim in
# half an hour than the published configuration could. Small levels have few numbers to learn from and small nets.
narrow = $(1)*(actnorm, conv1x1, affine:width=$(2):blocks=1), actnorm
FLAGS ?= --decay 0.5 --ema 0.995 --flip
CHAIN_5 ?= $(call narrow,16,64)
FLAGS_5 ?= --batch 4 --lr 6e-3
CHAIN_4 ?= $(call narrow,16,64)
FLAGS_4 ?= --batch 8 --lr 6e-3
CHAIN_3 ?= $(call narrow,8,32)
FLAGS_3 ?= --batch 16 --lr 4e-3
CHAIN_2 ?= $(call narrow,6,16)
FLAGS_2 ?= --batch 32 --lr 4e-3
CHAIN_1 ?= $(call narrow,6,16)
FLAGS_1 ?= --batch 64 --lr 2e-3
CHAIN_0 ?= $(call narrow,6,16)
FLAGS_0 ?= --batch 64 --lr 2e-3

# A record is a label and 3 planes of 32x32.
bytes = $$((3073 * $(1)))
pictures-train = zcat -f $(TRAIN) | head -c -$(call bytes,$(HELD))
pictures-val = zcat -f $(TRAIN) | tail -c $(call bytes,$(HELD))
pictures-real = (set +o pipefail; zcat -f $(TEST) | head -c $(call bytes,$(SAMPLES)))
pictures-test = zcat -f $(TEST)
EVAL = test $(notdir $(basename $(ALSO:.gz=)))
$(foreach f,$(ALSO),$(eval pictures-$(notdir $(basename $(f:.gz=))) = zcat -f $f))

include $(dir $(lastword $(MAKEFILE_LIST)))common.mk
