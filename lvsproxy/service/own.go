package service

import "github.com/lvsession/lvsession/lvsproxy/config"

// Own returns what the Spec says beyond what ldirectord can say, as it is now.
func (s *Service) Own() config.Own {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.spec.Own
}

// OnePacket reports whether each datagram is scheduled for itself.
func (s *Service) OnePacket() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.spec.OnePacket
}

// Spec returns what the configuration and the changes by hand say together, as it is now. It is not to be changed.
func (s *Service) Spec() config.Virtual {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.spec
}
