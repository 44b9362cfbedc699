package ipvsadm

import (
	"os"
	"strings"
	"testing"
)

// TestOptionsAreDocumented: docs/operator.md and the help have every option.
func TestOptionsAreDocumented(t *testing.T) {
	docs, err := os.ReadFile("../../docs/operator.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(docs), "## lvsadm")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, o := range options {
		for name, text := range map[string]string{"docs/operator.md": section, "the help": Usage("lvsadm")} {
			long, short := strings.Contains(text, "--"+o.long), o.short != 0 && strings.Contains(text, "-"+string(o.short))
			if !long && !short {
				t.Errorf("%s has no --%s", name, o.long)
			}
			if o.short != 0 && !short {
				t.Errorf("%s has no -%c", name, o.short)
			}
		}
	}
}
