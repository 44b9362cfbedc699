package ebpf

import (
	"log/slog"

	"github.com/lvsession/lvsession/lvsproxy/service"
)

type kernel struct{ pins *pins }

func loadKernel(p *pins, o Options, log *slog.Logger) (*kernel, error) { return &kernel{p}, nil }
func (k *kernel) close()                                               {}
func (k *kernel) hooks() []hook                                        { return nil }
func (k *kernel) setTimeouts(t service.Timeouts) error                 { return nil }
func (k *kernel) front(s *service.Service, before *front) (*front, error) {
	return &front{service: s}, nil
}
func (k *kernel) closeFront(f *front) error                                           { return nil }
func (k *kernel) putServer(f *front, s service.ServerSnapshot) (id uint32, err error) { return 0, nil }
func (k *kernel) putSlots(id uint32, numbers []uint32, slots []int32) error           { return nil }
func (k *kernel) putService(id uint32, s service.Snapshot) error                      { return nil }
func (k *kernel) unlistServer(id uint32) error                                        { return nil }
func (k *kernel) picks(id uint32) uint64                                              { return 0 }
func (k *kernel) count(f *front)                                                      {}
