package phpfpm

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"
)

var nginxConf = template.Must(template.New("nginx.conf").Parse(`daemon off;
worker_processes 1;
{{if .AsRoot}}user root;
{{end}}pid nginx.pid;
error_log ` + nginxLog + ` warn;
events {
	worker_connections 1024;
}
http {
	access_log off;
{{range .TempPaths}}	{{.}}_temp_path temp-{{.}};
{{end}}	server {
		listen {{.Addr}};
		root "{{.Root}}";
		keepalive_requests 100000;
		client_max_body_size 0; # PHP has limits of its own
		location = ` + HealthPath + ` {
			default_type text/html;
			return 200 "{{.HealthBody}}";
		}
		location = / {
			rewrite ^ /{{.Index}} last;
		}
		location = ` + pingPath + ` {
			fastcgi_param SCRIPT_NAME ` + pingPath + `;
			fastcgi_param SCRIPT_FILENAME ` + pingPath + `;
			fastcgi_param REQUEST_METHOD GET;
			fastcgi_pass unix:{{.Dir}}/php-fpm.sock;
		}
		location ~ \.php$ {
			try_files $uri =404;
			fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
			fastcgi_param SCRIPT_NAME $fastcgi_script_name;
			fastcgi_param DOCUMENT_ROOT $document_root;
			fastcgi_param REQUEST_METHOD $request_method;
			fastcgi_param REQUEST_URI $request_uri;
			fastcgi_param QUERY_STRING $query_string;
			fastcgi_param CONTENT_TYPE $content_type;
			fastcgi_param CONTENT_LENGTH $content_length;
			fastcgi_param SERVER_PROTOCOL $server_protocol;
			fastcgi_param SERVER_NAME $server_name;
			fastcgi_param SERVER_ADDR $server_addr;
			fastcgi_param SERVER_PORT $server_port;
			fastcgi_param REMOTE_ADDR $remote_addr;
			fastcgi_param REMOTE_PORT $remote_port;
			fastcgi_pass unix:{{.Dir}}/php-fpm.sock;
		}
	}
}
`))

var fpmConf = template.Must(template.New("php-fpm.conf").Parse(`[global]
error_log = {{.Dir}}/` + fpmLog + `
log_limit = 8192
[www]
{{if .AsRoot}}user = root
group = root
{{end}}listen = {{.Dir}}/php-fpm.sock
pm = static
pm.max_children = {{.Children}}
ping.path = ` + pingPath + `
catch_workers_output = yes
decorate_workers_output = no
; the environment is the test's own choice, see Options.Env
clear_env = no
`))

// settings fill both templates.
type settings struct {
	Options
	Dir        string
	Addr       string
	HealthBody string
	AsRoot     bool
	TempPaths  []string // nginx modules that want a folder for temporary files
}

func writeConfig(p programs, dir, addr string, o Options) error {
	root, err := filepath.Abs(o.Root)
	if err != nil {
		return fmt.Errorf("find the pages: %w", err)
	}
	if strings.ContainsAny(root+o.Index, "\"\\$\n;{}") {
		return fmt.Errorf("root %q or index %q cannot be written into nginx.conf", root, o.Index)
	}
	o.Root = root
	s := settings{Options: o, Dir: dir, Addr: addr, HealthBody: strings.ReplaceAll(HealthBody, "\n", `\n`), AsRoot: os.Geteuid() == 0}
	if s.TempPaths, err = tempPaths(p.nginx); err != nil {
		return err
	}
	for _, t := range []*template.Template{nginxConf, fpmConf} {
		var text strings.Builder
		if err := t.Execute(&text, s); err != nil {
			return fmt.Errorf("write %s: %w", t.Name(), err)
		}
		if err := os.WriteFile(filepath.Join(dir, t.Name()), []byte(text.String()), 0o600); err != nil {
			return fmt.Errorf("write %s: %w", t.Name(), err)
		}
	}
	return nil
}

// tempPaths asks nginx which of its modules keep temporary files: their folders, as Debian compiles them in, are root's.
func tempPaths(nginx string) ([]string, error) {
	built, err := exec.Command(nginx, "-V").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("ask nginx how it was built: %w", err)
	}
	paths := []string{"client_body"}
	for _, module := range []string{"proxy", "fastcgi", "uwsgi", "scgi"} {
		if !strings.Contains(string(built), "--without-http_"+module+"_module") {
			paths = append(paths, module)
		}
	}
	return paths, nil
}
