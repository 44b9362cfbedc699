// Package result is what the program in the guest tells bench/ipvs.
package result

// The sides that have no director.
const (
	Nothing = "nothing"        // the frame reaches the director's machine, which does not take it
	Forward = "forwarded only" // the machine only routes
)

// Figure is one kind of work.
type Figure struct {
	Family, Work string
	// Sides are the instructions that one packet, or one connection, took in each round, by side.
	Sides map[string][]float64
}
