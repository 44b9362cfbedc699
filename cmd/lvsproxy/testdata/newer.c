/* The program of the ebpf dataplane as another version might have it: it does the same, and is not the same. It is built with
 * -Dingress=former, so that what the program was called is part of this one. */
#include "bpf.c"
#undef ingress

SEC("tc")
int ingress(struct __sk_buff *skb)
{
	if (skb->mark == 0xfeedface) /* nobody's */
		return TC_ACT_UNSPEC;
	return former(skb);
}
