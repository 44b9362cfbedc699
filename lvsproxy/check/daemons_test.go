package check

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/lvsession/lvsession/bench/rig/child"
	"github.com/lvsession/lvsession/bench/rig/mysqld"
	"github.com/lvsession/lvsession/bench/rig/need"
	"github.com/lvsession/lvsession/lvsproxy/config"
)

// trial is one check of a real server.
type trial struct {
	name             string
	target           netip.AddrPort
	check            config.Check
	request, receive string
	reason           string // its beginning, and whether it is that of an error
	ok               bool
}

func try(t *testing.T, protocol config.Protocol, trials []trial) {
	t.Helper()
	for _, tt := range trials {
		tt.check.Type = config.CheckNegotiate
		v := virtual(tt.check)
		v.ID.Protocol = protocol
		r := first(t, ForReal(v, config.Real{Addr: tt.target, Request: tt.request, Receive: tt.receive}, 1))
		if r.OK != tt.ok || !strings.HasPrefix(r.Reason, tt.reason) {
			t.Errorf("%s, %s: got %v, %q; want %v, %q", tt.check.Service, tt.name, r.OK, r.Reason, tt.ok, tt.reason)
		}
		if !r.OK {
			presentableReason(t, tt.check.Service, r.Reason)
		}
	}
}

func TestNginx(t *testing.T) {
	d := daemon{program: "nginx", pkg: "nginx-light", args: []string{"-p", "{dir}", "-c", "{dir}/nginx.conf", "-e", "{dir}/error.log"},
		files: map[string]string{"nginx.conf": `
daemon off; master_process off; pid {dir}/pid;
events {}
http {
	access_log off;
	client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
	ssl_certificate {dir}/cert.pem; ssl_certificate_key {dir}/key.pem;
	server { listen 127.0.0.1:{port} default_server; listen 127.0.0.1:{tls} ssl default_server; return 200 "default\n"; }
	server { listen 127.0.0.1:{port}; listen 127.0.0.1:{tls} ssl; server_name www.example;
		location = /status { return 200 "Server OK\n"; }
		location = /old { return 301 http://127.0.0.1:{port}/; }
	}
}`}, prepare: (*running).certify}.start(t)
	www := config.Check{Service: "http", VirtualHost: "www.example"}
	secure := config.Check{Service: "https", VirtualHost: "www.example"}
	try(t, config.TCP, []trial{
		{"default host", d.addr(), config.Check{Service: "http"}, "/", "^default$", "200 OK", true},
		{"virtual host", d.addr(), www, "/status", "^Server OK$", "200 OK", true},
		{"another content", d.addr(), www, "/status", "KO", "http check: 200 OK, but the answer of 10 bytes", false},
		{"no such page", d.addr(), www, "/none", "", "http check: 404 Not Found", false},
		{"redirect", d.addr(), www, "/old", "default", "200 OK", true},
		{"virtual host", d.tlsAddr(), secure, "/status", "OK", "200 OK", true},
		{"plain port", d.addr(), secure, "/status", "OK", "https check: http: server gave HTTP response", false},
		{"TLS port", d.tlsAddr(), www, "/status", "OK", "http check: 400 Bad Request", false},
	})
}

func TestTinyproxy(t *testing.T) {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("origin of " + r.Host)) }))
	defer origin.Close()
	d := daemon{program: "tinyproxy", pkg: "tinyproxy-bin", args: []string{"-d", "-c", "{dir}/conf"}, files: map[string]string{
		"conf": "Port {port}\nListen 127.0.0.1\nAllow 127.0.0.1\nMaxClients 10\nTimeout 10\n"}}.start(t)
	proxy := config.Check{Service: "http_proxy", VirtualHost: "not.used"}
	gone := httptest.NewServer(nil)
	gone.Close()
	try(t, config.TCP, []trial{
		{"through the proxy", d.addr(), proxy, "/" + origin.URL + "/", "^origin of 127", "200 OK", true},
		{"as a server's own request", d.addr(), proxy, origin.URL + "/", "origin", "200 OK", true},
		{"another content", d.addr(), proxy, "/" + origin.URL, "none", "http_proxy check: 200 OK, but", false},
		{"an origin that is gone", d.addr(), proxy, "/" + gone.URL, "", "http_proxy check: 500", false},
	})
}

func TestVsftpd(t *testing.T) {
	d := daemon{program: "vsftpd", pkg: "vsftpd", args: []string{"{dir}/conf"}, files: map[string]string{
		"root/status": "Server OK\n", "root/large": strings.Repeat("x", MaxAnswer) + "needle", "empty/x": "", "conf": `background=NO
listen=YES
listen_address=127.0.0.1
listen_port={port}
anonymous_enable=YES
anon_root={dir}/root
secure_chroot_dir={dir}/empty
seccomp_sandbox=NO
xferlog_enable=NO
`}, prepare: func(r *running) {
		os.Remove(filepath.Join(r.dir, "empty/x"))
		r.needRoot("it changes its root")
	}}.start(t)
	ftp := config.Check{Service: "ftp"}
	try(t, config.TCP, []trial{
		{"a file", d.addr(), ftp, "/status", "^Server OK$", "fetched 10 bytes", true},
		{"logging in alone", d.addr(), ftp, "/", "", "logged in", true},
		{"another content", d.addr(), ftp, "/status", "KO", "ftp check: the file of 10 bytes does not match receive", false},
		{"no such file", d.addr(), ftp, "/none", "", "ftp check: RETR: 550", false},
		{"a large file", d.addr(), ftp, "/large", "^x+$", "fetched 1048576 bytes", true},
		{"the end of a large file", d.addr(), ftp, "/large", "needle", "ftp check: the file of 1048576 bytes", false},
		{"no such user", d.addr(), config.Check{Service: "ftp", Login: "nobody-here", Passwd: "pass-word"}, "/status", "", "ftp check: ", false},
	})
}

func TestExim(t *testing.T) {
	d := daemon{program: "exim4", pkg: "exim4-daemon-light", args: []string{"-C", "{dir}/conf", "-bdf", "-oX", "{port}"},
		files: map[string]string{"conf": `primary_hostname = mx.example
spool_directory = {dir}/spool
log_file_path = {dir}/spool/log_%s
local_interfaces = 127.0.0.1
host_lookup =
rfc1413_query_timeout = 0s
pid_file_path = {dir}/pid
`}, prepare: func(r *running) {
			r.needRoot("it becomes another user")
			r.own("spool", "Debian-exim")
		}}.start(t)
	try(t, config.TCP, []trial{
		{"EHLO", d.addr(), config.Check{Service: "smtp"}, "/", "", "greeted", true},
		{"EHLO", d.addr(), config.Check{Service: "submission"}, "/", "", "greeted", true},
	})
	refusing := peer(t, nil, func(c net.Conn) { c.Write([]byte("554-mx.example\r\n554 No service\r\n")) })
	old := peer(t, nil, transcript("220 old\r\n", "EHLO", "502 what?\r\n", "HELO", "250 hello\r\n"))
	try(t, config.TCP, []trial{
		{"a refusal", refusing, config.Check{Service: "smtp"}, "/", "", "smtp check: 554 \"mx.example\\nNo service\"", false},
		{"a server without EHLO", old, config.Check{Service: "smtp"}, "/", "", "greeted", true},
	})
}

// transcript is a server that says its first line, and then each answer to the command before it, whatever that is.
func transcript(lines ...string) func(net.Conn) {
	return func(c net.Conn) {
		b := make([]byte, 1000)
		for i, line := range lines {
			if i%2 == 1 {
				if n, err := c.Read(b); err != nil || !strings.Contains(string(b[:n]), line) {
					return
				}
				continue
			}
			c.Write([]byte(line))
		}
		c.Read(b)
	}
}

func TestDovecot(t *testing.T) {
	d := daemon{program: "dovecot", pkg: "dovecot-pop3d dovecot-imapd", args: []string{"-F", "-c", "{dir}/conf"}, files: map[string]string{
		"home/x": "", "conf": `base_dir = {dir}/run
state_dir = {dir}/run
protocols = imap pop3
listen = 127.0.0.1
log_path = {dir}/log
ssl = yes
ssl_cert = <{dir}/cert.pem
ssl_key = <{dir}/key.pem
disable_plaintext_auth = no
auth_mechanisms = plain apop
auth_failure_delay = 0 secs
mail_location = maildir:{dir}/home/mail
first_valid_uid = 1
passdb {
	driver = static
	args = user=user password=pass"\word
}
userdb {
	driver = static
	args = uid=nobody gid=nogroup home={dir}/home
}
service anvil {
	unix_listener anvil-auth-penalty {
		mode = 0
	}
}
service imap-login {
	inet_listener imap {
		port = {port}
	}
	inet_listener imaps {
		port = 0
	}
}
service pop3-login {
	inet_listener pop3 {
		port = 0
	}
	inet_listener pop3s {
		port = {tls}
		ssl = yes
	}
}
`}, prepare: func(r *running) {
		r.certify()
		os.Chmod(filepath.Join(r.dir, "home"), 0o777)
		if os.Getuid() != 0 {
			need.Skip(r.t, "dovecot runs its parts as several users: the test must be root")
		}
	}}.start(t)
	good := func(service string) config.Check {
		return config.Check{Service: service, Login: "user", Passwd: `pass"\word`}
	}
	bad := func(service string) config.Check {
		return config.Check{Service: service, Login: "user", Passwd: "pass-word"}
	}
	try(t, config.TCP, []trial{
		{"greeting", d.addr(), config.Check{Service: "imap"}, "/", "", "greeted", true},
		{"log-in", d.addr(), good("imap"), "/", "", "logged in", true},
		{"wrong password", d.addr(), bad("imap"), "/", "", "imap check: log-in: the answer is NO [AUTHENTICATIONFAILED]", false},
		{"plain asked of TLS", d.tlsAddr(), config.Check{Service: "imaps"}, "/", "", "imaps check: the answer is +OK", false},
		{"TLS asked of plain", d.addr(), config.Check{Service: "imaps"}, "/", "", "imaps check: tls: first record", false},
		{"greeting", d.tlsAddr(), config.Check{Service: "pops"}, "/", "", "greeted", true},
		{"log-in by APOP", d.tlsAddr(), good("pops"), "/", "", "logged in", true},
		{"wrong password", d.tlsAddr(), bad("pops"), "/", "", "pops check: log-in: the answer is -ERR [AUTH]", false},
		{"IMAP asked by POP", d.addr(), config.Check{Service: "pop"}, "/", "", "pop check: the answer is * OK", false},
	})
	pop := peer(t, nil, transcript("+OK ready\r\n", "USER user", "+OK\r\n", "PASS pass-word", "+OK\r\n", "QUIT", "+OK\r\n"))
	imaps := peer(t, certificate(t), transcript("* PREAUTH ready\r\n"))
	bye := peer(t, nil, transcript("* BYE too many\r\n"))
	try(t, config.TCP, []trial{
		{"log-in by PASS", pop, bad("pop"), "/", "", "logged in", true},
		{"already logged in", imaps, config.Check{Service: "imaps"}, "/", "", "greeted", true},
		{"a refusal", bye, config.Check{Service: "imap"}, "/", "", "imap check: the answer is * BYE", false},
	})
}

// TestSn runs sn's server for each connection, as inetd does.
func TestSn(t *testing.T) {
	program := need.Program(t, "snntpd", "sn")
	root := t.TempDir()
	target := peer(t, nil, func(c net.Conn) {
		f, err := c.(*net.TCPConn).File()
		if err != nil {
			return
		}
		defer f.Close()
		r := &running{dir: root}
		cmd := r.command(program, []string{"/bin/sh", "-c", "exec cat >/dev/null"}) // its log
		cmd.Env = append(os.Environ(), "SNROOT="+root)
		cmd.Stdin, cmd.Stdout = f, f
		if p, err := child.Start(cmd); err == nil {
			<-p.Done()
		}
	})
	refusing := peer(t, nil, transcript("502 no permission\r\n"))
	try(t, config.TCP, []trial{
		{"greeting", target, config.Check{Service: "nntp"}, "/", "", "greeted", true},
		{"a refusal", refusing, config.Check{Service: "nntp"}, "/", "", "nntp check: 502 \"no permission\"", false},
	})
}

func TestSlapd(t *testing.T) {
	d := daemon{program: "slapd", pkg: "slapd", args: []string{"-f", "{dir}/conf", "-h", "ldap://127.0.0.1:{port}/ ldaps://127.0.0.1:{tls}/", "-d", "0"},
		files: map[string]string{"db/x": "", "data.ldif": "dn: dc=example\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: Example\n", "conf": `
include /etc/ldap/schema/core.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {dir}/pid
TLSCertificateFile {dir}/cert.pem
TLSCertificateKeyFile {dir}/key.pem
database mdb
maxsize 10485760
suffix dc=example
rootdn cn=admin,dc=example
rootpw pass-word
directory {dir}/db
`}, prepare: func(r *running) {
			r.certify()
			os.Remove(filepath.Join(r.dir, "db/x"))
			r.run(need.Program(r.t, "slapadd", "slapd"), "-f", r.dir+"/conf", "-l", r.dir+"/data.ldif")
		}}.start(t)
	admin := func(service, passwd string) config.Check {
		return config.Check{Service: service, Login: "cn=admin,dc=example", Passwd: passwd}
	}
	try(t, config.TCP, []trial{
		{"anonymous, any entry", d.addr(), config.Check{Service: "ldap"}, "/", "", "found the entry", true},
		{"an entry", d.addr(), config.Check{Service: "ldap"}, "/dc=example", "^dc=ex", "found the entry", true},
		{"another name", d.addr(), config.Check{Service: "ldap"}, "/dc=example", "other", "ldap check: the entry's name does not match receive", false},
		{"no such entry", d.addr(), config.Check{Service: "ldap"}, "/dc=none,dc=example", "", "ldap check: search: LDAP Result Code 32", false},
		{"log-in", d.tlsAddr(), admin("ldaps", "pass-word"), "/dc=example", "", "found the entry", true},
		{"wrong password", d.addr(), admin("ldap", "pass"), "/dc=example", "", "ldap check: bind: LDAP Result Code 49", false},
		{"TLS asked of plain", d.addr(), config.Check{Service: "ldaps"}, "/", "", "ldaps check: ", false},
	})
}

func TestMariaDB(t *testing.T) {
	c, err := mysql.ParseDSN(mysqld.MariaDB(t))
	if err != nil {
		t.Fatal(err)
	}
	target := netip.MustParseAddrPort(c.Addr)
	with := func(passwd, database string) config.Check {
		return config.Check{Service: "mysql", Login: c.User, Passwd: passwd, Database: database}
	}
	good := with(c.Passwd, c.DBName)
	try(t, config.TCP, []trial{
		{"a row", target, good, "/SELECT 1", "", "the query returned a row", true},
		{"many rows", target, good, "/SELECT a.seq, REPEAT('x', 1000) FROM seq_1_to_100000 a", "", "the query returned a row", true},
		{"a row that is too long", target, good, "/SELECT REPEAT('x', 2000000)", "", "mysql check: ", false},
		{"no row", target, good, "/SELECT 1 FROM DUAL WHERE 1 = 0", "", "mysql check: the query returned no row", false},
		{"nonsense", target, good, "/SELEKT", "", "mysql check: Error 1064", false},
		{"wrong password", target, with("pass-word", ""), "/SELECT 1", "", "mysql check: Error 1045", false},
		{"no such database", target, with(c.Passwd, "none"), "/SELECT 1", "", "mysql check: Error 1049", false},
		{"no query", target, good, "/", "", "mysql check: login and request are needed", false},
		{"PostgreSQL asked", target, config.Check{Service: "pgsql", Login: "user"}, "/SELECT 1", "", "pgsql check: ", false},
	})
}

func TestPostgreSQL(t *testing.T) {
	programs, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if len(programs) == 0 {
		need.Skip(t, "postgres is not installed: apt-get install postgresql")
	}
	program := programs[len(programs)-1]
	d := daemon{program: program, pkg: "postgresql", user: "postgres", files: map[string]string{"pw": "pass-word"},
		args: []string{"-D", "{dir}/data", "-p", "{port}", "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off"},
		prepare: func(r *running) {
			r.own("data", r.user)
			r.run(filepath.Join(filepath.Dir(program), "initdb"), "-D", r.dir+"/data", "-U", "admin", "-A", "scram-sha-256", "--pwfile", r.dir+"/pw", "--no-sync")
		}}.start(t)
	with := func(passwd, database string) config.Check {
		return config.Check{Service: "pgsql", Login: "admin", Passwd: passwd, Database: database}
	}
	good := with("pass-word", "postgres")
	eventually(t, d, good)
	try(t, config.TCP, []trial{
		{"a row", d.addr(), good, "/SELECT 1", "", "the query returned a row", true},
		{"many rows", d.addr(), good, "/SELECT n, repeat('x', 1000) FROM generate_series(1, 100000) n", "", "the query returned a row", true},
		{"a row that is too long", d.addr(), good, "/SELECT repeat('x', 2000000)", "", "pgsql check: ", false},
		{"no row", d.addr(), good, "/SELECT 1 WHERE 1 = 0", "", "pgsql check: the query returned no row", false},
		{"nonsense", d.addr(), good, "/SELEKT", "", "pgsql check: syntax error", false},
		{"wrong password", d.addr(), with("wrong", "postgres"), "/SELECT 1", "", "pgsql check: password authentication failed", false},
		{"no such database", d.addr(), with("pass-word", "none"), "/SELECT 1", "", "pgsql check: database \"none\" does not exist", false},
		{"no login", d.addr(), config.Check{Service: "pgsql"}, "/SELECT 1", "", "pgsql check: login and request are needed", false},
	})
}

func (r *running) needRoot(why string) {
	r.t.Helper()
	if os.Getuid() != 0 {
		need.Skip(r.t, "the test must be root for this server: "+why)
	}
}

// own makes a folder that belongs to a user, or to that of the test if the name is empty.
func (r *running) own(name, owner string) {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	if err := os.Mkdir(path, 0o700); err != nil {
		r.t.Fatal(err)
	}
	if owner == "" {
		return
	}
	u, err := user.Lookup(owner)
	if err != nil {
		r.t.Fatal(err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if err := os.Chown(path, uid, gid); err != nil {
		r.t.Fatal(err)
	}
}

// eventually waits until a server that listens already also answers.
func eventually(t *testing.T, d *running, c config.Check) {
	t.Helper()
	c.Type = config.CheckNegotiate
	for range 200 {
		if first(t, ForReal(virtual(c), config.Real{Addr: d.addr(), Request: "/SELECT 1"}, 1)).OK {
			return
		}
	}
	t.Fatalf("no answer:\n%s", child.Tail(d.log(), 20))
}

func TestFreeRADIUS(t *testing.T) {
	d := daemon{program: "freeradius", pkg: "freeradius", udp: true, args: []string{"-f", "-l", "{dir}/log", "-d", "{dir}"}, files: map[string]string{
		"dictionary": "", "radiusd.conf": `
prefix = /usr
libdir = /usr/lib/freeradius
logdir = {dir}
run_dir = {dir}
pidfile = {dir}/pid
security {
	allow_vulnerable_openssl = yes
}
modules {
	pap {
	}
}
client localhost {
	ipaddr = 127.0.0.1
	secret = sec-ret
	require_message_authenticator = yes
}
server default {
	listen {
		type = auth
		ipaddr = 127.0.0.1
		port = {port}
	}
	authorize {
		if (&User-Name == "user") {
			update control {
				Cleartext-Password := "pass-word that is longer than a block"
			}
		}
		pap
	}
	authenticate {
		Auth-Type PAP {
			pap
		}
	}
}
`}}.start(t)
	with := func(passwd, secret string) config.Check {
		return config.Check{Service: "radius", Login: "user", Passwd: passwd, Secret: secret}
	}
	wrongSecret := with("pass-word that is longer than a block", "another")
	wrongSecret.NegotiateTimeout = 700_000_000
	try(t, config.UDP, []trial{
		{"accepted", d.addr(), with("pass-word that is longer than a block", "sec-ret"), "/", "", "accepted", true},
		{"wrong password", d.addr(), with("pass-word", "sec-ret"), "/", "", "radius check: Access-Reject", false},
		{"wrong secret", d.addr(), wrongSecret, "/", "", "radius check: no complete answer within", false},
	})
}

func TestUnbound(t *testing.T) {
	d := daemon{program: "unbound", pkg: "unbound", args: []string{"-d", "-c", "{dir}/conf"}, files: map[string]string{"conf": `
server:
	interface: 127.0.0.1@{port}
	do-daemonize: no
	username: ""
	chroot: ""
	directory: "{dir}"
	pidfile: "{dir}/pid"
	use-syslog: no
	logfile: "{dir}/log"
	access-control: 127.0.0.0/8 allow
	local-zone: "." static
	local-data: "www.example. A 192.0.2.1"
	local-data: "www.example. A 192.0.2.2"
	local-data: "large.example. A 192.0.2.3"
	local-data-ptr: "192.0.2.1 www.example"
	local-data-ptr: "2001:db8::1 six.example"
	max-udp-size: 512
` + manyAddresses()}}.start(t)
	dns := config.Check{Service: "dns"}
	trials := []trial{
		{"an address", d.addr(), dns, "/www.example", `^192\.0\.2\.2$`, "an answer matches", true},
		{"another address", d.addr(), dns, "/www.example", `^192\.0\.2\.9$`, "dns check: none of 2 answers matches receive", false},
		{"a name", d.addr(), dns, "/192.0.2.1", `^www\.example$`, "an answer matches", true},
		{"a name of IPv6", d.addr(), dns, "/2001:db8::1", "^six", "an answer matches", true},
		{"no such name", d.addr(), dns, "/none.example", ".", "dns check: the answer is NameError", false},
		{"an answer too large for a datagram", d.addr(), dns, "/large.example", `^198\.51\.100\.99$`, "an answer matches", true},
		{"no receive", d.addr(), dns, "/www.example", "", "dns check: receive is needed", false},
		{"no name", d.addr(), dns, "/", ".", "dns check: request", false},
	}
	try(t, config.UDP, trials)
	try(t, config.TCP, trials)
}

func manyAddresses() string {
	var b strings.Builder
	for i := range 200 {
		b.WriteString("\tlocal-data: \"large.example. A 198.51.100." + strconv.Itoa(i) + "\"\n")
	}
	return b.String()
}

func TestKamailio(t *testing.T) {
	d := daemon{program: "kamailio", pkg: "kamailio", args: []string{"-DD", "-E", "-f", "{dir}/conf", "-w", "{dir}", "-Y", "{dir}", "-P", "{dir}/pid", "-m", "16", "-M", "4", "-n", "1", "-N", "1"},
		files: map[string]string{"conf": `
debug=0
log_stderror=yes
children=1
listen=udp:127.0.0.1:{port}
listen=tcp:127.0.0.1:{port}
loadmodule "sl.so"
request_route {
	if (method == "OPTIONS" && from_uri =~ "well@") { sl_send_reply("200", "OK"); exit; }
	sl_send_reply("503", "Not today");
}
`}}.start(t)
	sip := func(login string) config.Check { return config.Check{Service: "sip", Login: login} }
	trials := []trial{
		{"well", d.addr(), sip("well@example.org"), "/", "", "SIP/2.0 200 OK", true},
		{"not well", d.addr(), sip("ill@example.org"), "/", "", "sip check: the answer is SIP/2.0 503 Not today", false},
	}
	try(t, config.UDP, trials)
	try(t, config.TCP, trials)
	trying := peer(t, nil, transcript("", "OPTIONS", "SIP/2.0 100 Trying\r\nl: 3\r\n\r\nabcSIP/2.0 200 OK\r\n\r\n"))
	try(t, config.TCP, []trial{{"first a provisional answer", trying, sip(""), "/", "", "SIP/2.0 200 OK", true}})
}

func TestSimpleTCP(t *testing.T) {
	var mu sync.Mutex
	var got string
	target := peer(t, nil, func(c net.Conn) {
		b := make([]byte, 100)
		n, _ := c.Read(b)
		mu.Lock()
		got = string(b[:n])
		mu.Unlock()
		c.Write([]byte("first\nsecond"))
	})
	simple := config.Check{Service: "simpletcp"}
	try(t, config.TCP, []trial{
		{"a line", target, simple, `/one\ntwo\n`, "^first$", "a line matches", true},
		{"the last line, without an end", target, simple, "/x", "^second$", "a line matches", true},
		{"two lines", target, simple, "/x", "first.second", "simpletcp check: no line of the answer matches receive", false},
		{"any line", target, simple, `/one\ntwo\n`, "", "a line matches", true},
	})
	mu.Lock()
	defer mu.Unlock()
	if got != "one\ntwo\n" {
		t.Errorf("sent %q", got)
	}
}
