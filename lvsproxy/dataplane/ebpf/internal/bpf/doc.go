// Package bpf holds the programs of the ebpf dataplane, in C, and what is generated from them. types.h is what they share with
// Go, and maps.h says what each map is for.
package bpf

//go:generate go tool bpf2go -cc clang-14 -output-stem kernel -strip llvm-strip-14 -target bpfel -cflags "-O2 -g -Wall -mcpu=v3 -I/usr/include/x86_64-linux-gnu" -type address -type mac -type service_key -type service -type server -type load -type counts -type flow -type next_hop -type conn -type template_key -type template -type tuning -type scheduler -type service_flag -type forward -type state -type drop Kernel bpf.c
