package config

import (
	"fmt"
	"slices"
	"strings"
)

// SchedFlags returns flags as ipvsadm's -b takes them in the one form that a [Virtual] holds: sorted, each once, joined
// by commas, and by the scheduler's own names for them (sh-fallback, sh-port, mh-fallback, mh-port) where it has such.
func SchedFlags(scheduler, flags string) (string, error) {
	if flags == "" {
		return "", nil
	}
	var found []string
	for _, f := range strings.Split(flags, ",") {
		name, err := schedFlag(scheduler, f)
		if err != nil {
			return "", err
		}
		if !slices.Contains(found, name) {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return strings.Join(found, ","), nil
}

func schedFlag(scheduler, flag string) (string, error) {
	hashes := scheduler == "sh" || scheduler == "mh"
	switch {
	case hashes && (flag == "flag-1" || flag == scheduler+"-fallback"):
		return scheduler + "-fallback", nil
	case hashes && (flag == "flag-2" || flag == scheduler+"-port"):
		return scheduler + "-port", nil
	case slices.Contains([]string{"flag-1", "flag-2", "flag-3"}, flag):
		return flag, nil
	case slices.Contains([]string{"sh-fallback", "sh-port", "mh-fallback", "mh-port"}, flag):
		return "", fmt.Errorf("%q is a flag of scheduler %s: expected flag-1, flag-2 or flag-3 with scheduler %s", flag, flag[:2], scheduler)
	}
	return "", fmt.Errorf("%q: expected flag-1, flag-2, flag-3, sh-fallback, sh-port, mh-fallback or mh-port", flag)
}
