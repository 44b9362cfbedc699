// Package lvsadm is the program lvsadm: ipvsadm's command line for a running director, over its admin socket. Called by the
// name ipvsadm, it is ipvsadm to whoever calls it: the same arguments, output, messages and exit codes.
package lvsadm
