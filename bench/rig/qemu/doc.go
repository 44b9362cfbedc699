// Package qemu runs programs on a Linux kernel of their own: Debian's cloud kernel in a qemu guest without KVM. It is for
// what the machine's kernel may lack, above all IPVS, and for programs that must not meet the machine's own tables:
// ipvsadm and ldirectord, the yardsticks of lvsproxy, are in the guest.
//
// One boot takes some 12 seconds and serves any number of commands, also at once. Each command may have a network
// namespace, hence IPVS tables, of its own:
//
//	guest := qemu.Start(t)
//	result, err := guest.Run(ctx, qemu.Command{Args: []string{"ipvsadm", "-Ln"}, NewNet: true})
//
// Neither running the guest nor making its image needs root. The image is made once, in the user's cache folder, from
// Debian packages that apt-get downloads there; nothing is installed. The guest reads it from memory, has no disk and no
// network card, and talks to its host through a virtio port on qemu's standard input and output. It ends with the
// process that started it, however that ends, and leaves nothing behind.
package qemu
