package ipvsadm

import "slices"

// check compares the kinds of options that were given with what something takes: what and name say in messages what that
// is, such as the command add-service. The first thing wrong in the order of kinds is the error.
func (u usage) check(kinds []string, given map[string]bool, name, what string) *Exit {
	one := ""
	for _, kind := range kinds {
		switch {
		case slices.Contains(u.needs, kind):
			if !given[kind] {
				return fail("You need to supply the '%s' option for the '%s' %s", kind, name, what)
			}
		case !given[kind] || slices.Contains(u.may, kind):
		case !slices.Contains(u.oneOf, kind):
			return fail("Illegal '%s' option with the '%s' %s", kind, name, what)
		case one != "":
			return fail("The option '%s' conflicts with the '%s' option in the '%s' %s", kind, one, name, what)
		default:
			one = kind
		}
	}
	return nil
}

// finish makes the checks that need the whole command line, and fills in what it left out.
func (p *parser) finish() *Exit {
	if exit := verbs[p.cmd.Verb].check(kinds, p.given, commandName(p.cmd.Verb), "command"); exit != nil {
		return exit
	}
	switch p.cmd.Verb {
	case AddService, EditService:
		return p.finishService()
	case AddServer, EditServer:
		return p.finishServer()
	case StartDaemon:
		if p.cmd.Daemon.Interface == "" {
			p.cmd.Daemon.Interface = "eth0"
		}
	case List:
		return p.finishList()
	}
	return nil
}

// defaultScheduler is ipvsadm's.
const defaultScheduler = "wlc"

func (p *parser) finishService() *Exit {
	s := &p.cmd.Service
	switch {
	case s.FWMark == 0 && s.Addr.Port() == 0 && s.Persistent == 0:
		return fail("Zero port specified for non-persistent service")
	case s.OnePacket && s.FWMark == 0 && s.Protocol != UDP:
		return fail("One-Packet Scheduling is only for UDP virtual services")
	}
	if s.Scheduler == "" {
		s.Scheduler = defaultScheduler
	}
	s.Netmask = p.netmask
	return nil
}

func (p *parser) finishServer() *Exit {
	v, r := &p.cmd.Service, &p.cmd.Server
	if r.Forward == "" {
		r.Forward = Gate
	}
	// The kernel changes the port with masquerading only.
	if v.FWMark == 0 && r.Forward != Masq {
		r.Addr = withPort(r.Addr, v.Addr.Port())
	}
	if r.Addr.Addr().Is6() != v.Is6() && r.Forward != IPIP {
		return fail("Different address family is allowed only for tunneling servers")
	}
	if r.Forward != IPIP {
		for _, kind := range append([]string{"tun-type"}, tunnelKinds...) {
			if p.given[kind] {
				return fail("Tunnel options conflict with forward method")
			}
		}
	}
	name := r.Tunnel.Type
	if name == "" {
		name = "ipip"
	}
	return tunnels[name].check(tunnelKinds, p.given, name, "tunnel type")
}

func (p *parser) finishList() *Exit {
	s := p.cmd.Show
	if (s.Connections || s.Timeouts || s.Daemon) && (s.Stats || s.Rate || s.Thresholds) || (s.Timeouts || s.Daemon) && s.PersistentConns {
		return fail("options conflicts in the list command")
	}
	return nil
}
