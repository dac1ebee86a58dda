# mnist.mk - MNIST, or Fashion-MNIST, as distributed (IDX, gzipped): 28x28 grey, so two DWT levels and a base of 7x7.
# DATA is the folder. bits/dim is over the first 10,000 test pictures. See published.mk for fetch, QUICK and BACKEND.
DATA ?= data/mnist
OUT ?= out/mnist
SIDE = 4
WIDTHS = 64 128 128
# A single channel has no half to be kept: couplings alternate between the two fields of a checkerboard.
CHAIN_0 = 8*(actnorm, affine:width=64:mask=checker, affine:width=64:mask=checker:swap), actnorm
paths-train = $(firstword $(sort $(wildcard $(DATA)/train*-images*)))
paths-val = $(firstword $(sort $(wildcard $(DATA)/t10k-images*)))
include $(dir $(lastword $(MAKEFILE_LIST)))published.mk
fetch:
	$(call fetched,train-images-idx3-ubyte.gz,https://ossci-datasets.s3.amazonaws.com/mnist/train-images-idx3-ubyte.gz,md5,f68b3c2dcbeaaa9fbdd348bbdeb94873)
	$(call fetched,t10k-images-idx3-ubyte.gz,https://ossci-datasets.s3.amazonaws.com/mnist/t10k-images-idx3-ubyte.gz,md5,9fb629c4189551a2d022fa330f9573f3)
