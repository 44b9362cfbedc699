//go:build !ndbapi

package api

// Connect returns [ErrNotBuilt].
func Connect(Options) (Cluster, error) { return nil, ErrNotBuilt }
