package check

import (
	"context"
	"fmt"

	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/internal/program"
)

// newExternal returns the external check of a Spec: a program that must end with status 0 within ConnectTimeout. It is run
// without a shell, with the virtual service's address (or firewall mark) and port and the real server's as arguments, in
// the environment of this process. An external-perl check is the same, except that perl runs it, so that it needs neither
// a first line that names perl nor to be executable. ldirectord keeps such a program in its own memory instead.
func newExternal(s Spec) probe {
	path, args := s.Command, s.Args[:]
	if s.Type == config.CheckExternalPerl {
		path, args = "perl", append([]string{s.Command}, args...)
	}
	return func(ctx context.Context) (string, error) {
		output, err := program.Run(ctx, s.ConnectTimeout, path, args...)
		if err == nil {
			return s.Command + " succeeded", nil
		}
		text := fmt.Sprintf("%s check: %s: %v", s.Type, s.Command, err)
		if line := program.LastLine(output); line != "" {
			text += ": " + line
		}
		return "", fmt.Errorf("%s", s.presentable(text))
	}
}
