package ipvsadm

import "strings"

// argument says whether an option takes one.
type argument int

const (
	without argument = iota
	required
	// optional takes the next argument unless that begins with a dash. An argument that is not there is nil.
	optional
)

// option is an option of the command line. Its long name is what it is known by.
type option struct {
	long     string
	short    byte // 0 if there is none
	argument argument
}

// scanner reads options as popt 1.19 does: short ones may be bundled, the argument of the last one following at once,
// after "=" or as the next argument; a long one's after "=" or as the next argument. Long options cannot be abbreviated.
// What is no option, and all that follows "--", is left over.
type scanner struct {
	options []option
	args    []string
	next    int
	bundle  string // what is left of bundled short options
	rest    bool   // "--" was read

	leftover []string
}

// The words of popt for what may be wrong with an option.
const (
	missingArgument  = "missing argument"
	unwantedArgument = "option does not take an argument"
	unknownOption    = "unknown option"
)

// scan returns the next option and its argument, or nil at the end. problem is one of the words above if it is not empty.
func (s *scanner) scan() (o *option, arg *string, problem string) {
	var attached *string
	if s.bundle == "" {
		word, ok := s.word()
		if !ok {
			return nil, nil, ""
		}
		if strings.HasPrefix(word, "--") {
			name, value, found := strings.Cut(word[2:], "=")
			if o = s.find(func(o option) bool { return o.long == name }); o == nil {
				return nil, nil, unknownOption
			}
			if found {
				attached = &value
			}
		} else {
			s.bundle = word[1:]
		}
	}
	if o == nil {
		c := s.bundle[0]
		if o = s.find(func(o option) bool { return o.short == c && c != 0 }); o == nil {
			return nil, nil, unknownOption
		}
		s.bundle = s.bundle[1:]
	}
	if o.argument == without {
		if attached != nil || strings.HasPrefix(s.bundle, "=") {
			return nil, nil, unwantedArgument
		}
		return o, nil, ""
	}
	if attached == nil && s.bundle != "" {
		value := strings.TrimPrefix(s.bundle, "=")
		s.bundle, attached = "", &value
	}
	if attached != nil {
		return o, attached, ""
	}
	return s.following(o)
}

// following returns an option whose argument, if any, is the next one.
func (s *scanner) following(o *option) (*option, *string, string) {
	switch {
	case s.next == len(s.args) && o.argument == optional:
		return o, nil, ""
	case s.next == len(s.args):
		return nil, nil, missingArgument
	case o.argument == optional && strings.HasPrefix(s.args[s.next], "-"):
		return o, nil, ""
	}
	s.next++
	return o, &s.args[s.next-1], ""
}

// word returns the next argument that is an option, and lays aside those before it that are none.
func (s *scanner) word() (string, bool) {
	for s.next < len(s.args) {
		word := s.args[s.next]
		s.next++
		switch {
		case s.rest || len(word) < 2 || word[0] != '-':
			s.leftover = append(s.leftover, word)
		case word == "--":
			s.rest = true
		default:
			return word, true
		}
	}
	return "", false
}

func (s *scanner) find(match func(option) bool) *option {
	for i := range s.options {
		if match(s.options[i]) {
			return &s.options[i]
		}
	}
	return nil
}

// last returns the argument that was read last: the one that messages name.
func (s *scanner) last() string { return s.args[s.next-1] }
