# cifar10.mk - CIFAR-10 binaries to bits per dimension, samples and curves:
#
#     make -f pipelines/cifar10.mk DATA=cifar-10-batches-bin MINUTES=30
#
# DATA is a folder with data_batch_*.bin and test_batch.bin as distributed, or with any files *train*.bin[.gz] and
# *test*.bin[.gz] of that layout; TRAIN= and TEST= name other files. The last HELD training pictures are held out: they
# decide when training stops. ALSO= names further files to evaluate. A second run resumes; with more MINUTES the levels
# train on.
OUT ?= out/cifar10
MINUTES ?= 30
HELD ?= 500
include $(dir $(lastword $(MAKEFILE_LIST)))names.mk
TRAIN ?= $(sort $(or $(wildcard $(DATA)/data_batch_*.bin),$(wildcard $(DATA)/*train*.bin $(DATA)/*train*.bin.gz)))
TEST ?= $(firstword $(wildcard $(DATA)/test_batch.bin) $(sort $(wildcard $(DATA)/*test*.bin)) $(sort $(wildcard $(DATA)/*test*.bin.gz)))
ALSO ?= $(sort $(wildcard $(DATA)/cifar10_lossless*.bin))
REFERENCES ?= $(if $(findstring jpegsrc,$(TEST)),$(HERE)cifar10-jpegsrc.tsv)
ifeq ($(and $(TRAIN),$(TEST)),)
$(error no training or no test pictures: give DATA=folder, or TRAIN=files and TEST=file)
endif

include $(dir $(lastword $(MAKEFILE_LIST)))levels32.mk

# A record is a label and three planes of 32x32.
bytes = $$((3073 * $(1)))
pictures-train = zcat -f $(call quoted,$(TRAIN)) | head -c -$(call bytes,$(HELD))
pictures-val = zcat -f $(call quoted,$(TRAIN)) | tail -c $(call bytes,$(HELD))
pictures-real = (set +o pipefail; zcat -f $(call quoted,$(TEST)) | head -c $(call bytes,$(SAMPLES)))
pictures-test = zcat -f $(call quoted,$(TEST))
EVAL = test $(notdir $(basename $(ALSO:.gz=)))
$(foreach f,$(ALSO),$(eval pictures-$(notdir $(basename $(f:.gz=))) = zcat -f '$f'))

include $(dir $(lastword $(MAKEFILE_LIST)))common.mk
