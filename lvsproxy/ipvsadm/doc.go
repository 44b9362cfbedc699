// Package ipvsadm is the command line and the output of ipvsadm 1.31 as data: it parses arguments into a [Command], with
// ipvsadm's checks in ipvsadm's order and ipvsadm's messages, and writes tables as ipvsadm prints them, to the byte. It
// does neither input nor output besides, and knows no director: what a Command does is up to the caller.
//
// The ipvsadm is Debian's, which takes weights up to 2,147,483,647. Facts are from ipvsadm(8), from the program itself, and from the behaviour of popt 1.19, the library that reads its
// options. What was left out on purpose: popt's substitution of "!#:+" in an option's argument, and two crashes
// (an empty list of scheduler flags, a token of more than 4,095 bytes on standard input), which are errors here.
package ipvsadm
