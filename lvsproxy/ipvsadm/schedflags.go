package ipvsadm

import "strings"

// schedFlag is a scheduler's flag, by its bit and the scheduler that has a name of its own for it.
type schedFlag struct {
	bit             int
	name, scheduler string
}

var schedFlags = []schedFlag{
	{0, "flag-1", ""}, {1, "flag-2", ""}, {2, "flag-3", ""},
	{0, "sh-fallback", "sh"}, {1, "sh-port", "sh"},
	{0, "mh-fallback", "mh"}, {1, "mh-port", "mh"},
}

// schedFlags takes -b, which names bits: sh-fallback and flag-1 are the same one.
func (p *parser) schedFlags() *Exit {
	if p.flags == "" {
		return nil
	}
	s := &p.cmd.Service
	scheduler := s.Scheduler
	if scheduler == "" {
		scheduler = defaultScheduler
	}
	var bits [3]bool
	fields := strings.FieldsFunc(p.flags, func(r rune) bool { return r == ',' })
	if len(fields) == 0 { // ipvsadm crashes
		return fail("invalid scheduler flag `%s'", p.flags)
	}
	for _, name := range fields {
		flag := findFlag(name)
		switch {
		case flag == nil:
			return fail("invalid scheduler flag `%s'", name)
		case flag.scheduler != "" && flag.scheduler != scheduler:
			return fail("incompatible scheduler flag `%s'", name)
		}
		bits[flag.bit] = true
	}
	s.SchedFlags = flagNames(bits, scheduler)
	return nil
}

func findFlag(name string) *schedFlag {
	for i := range schedFlags {
		if schedFlags[i].name == name {
			return &schedFlags[i]
		}
	}
	return nil
}

// flagNames returns the names of flags, a scheduler's own where it has some.
func flagNames(bits [3]bool, scheduler string) string {
	var names []string
	for bit, set := range bits {
		if !set {
			continue
		}
		name := schedFlags[bit].name
		for _, f := range schedFlags {
			if f.bit == bit && f.scheduler == scheduler {
				name = f.name
			}
		}
		names = append(names, name)
	}
	return strings.Join(names, ",")
}
