package ipvsadm

import "fmt"

// Exit codes of ipvsadm.
const (
	exitUsage = 2 // a command line that is understood and wrong
	// ExitRefused is that of a command that the kernel refuses, or of a command line that is not understood: -1 in its
	// source.
	ExitRefused = 255
)

// Exit is the error of a command line that asks for nothing but a message and the end of the program: a wrong one, -h or
// --version. Stdout and Stderr are to be printed as they are.
type Exit struct {
	Code           int
	Stdout, Stderr string
	// Line tells that in the input of -R only this line ends; ipvsadm goes on with the next one. Any other Exit ends
	// the program there too.
	Line bool
}

func (e *Exit) Error() string {
	return fmt.Sprintf("exit code %d: %s%s", e.Code, e.Stdout, e.Stderr)
}

// fail returns the Exit for a command line that is wrong.
func fail(format string, args ...any) *Exit {
	return &Exit{Code: exitUsage, Stderr: fmt.Sprintf(format, args...) + "\n"}
}

// TryHelp returns the Exit for a command line without a command, or a Restore inside of one.
func TryHelp(program string) *Exit {
	return &Exit{Code: ExitRefused, Stderr: fmt.Sprintf("Try `%s -h' or '%s --help' for more information.\n", program, program)}
}
