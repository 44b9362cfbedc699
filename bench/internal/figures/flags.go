package figures

import "fmt"

// List is a flag that may be repeated.
type List []string

// String implements flag.Value.
func (l *List) String() string { return fmt.Sprint(*l) }

// Set implements flag.Value.
func (l *List) Set(v string) error { *l = append(*l, v); return nil }
