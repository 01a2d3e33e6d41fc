package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
)

// nginxConfig is tuned for the fewest system calls: files stay open, nothing is logged.
// A PUT is written beside its place and renamed, as our uploads are linked.
const nginxConfig = `%s
worker_processes auto;
daemon off;
pid nginx.pid;
events { worker_connections 1024; }
http {
	default_type image/jpeg;
	access_log off;
	sendfile on;
	tcp_nopush on;
	keepalive_requests 1000000000;
	open_file_cache max=1000 inactive=60s;
	open_file_cache_valid 60s;
	client_body_temp_path put;
	client_max_body_size 1m;
	fastcgi_temp_path unused; proxy_temp_path unused; scgi_temp_path unused; uwsgi_temp_path unused;
	server {
		listen %s;
		root .;
		location /put/ { dav_methods PUT; }
	}
}
`

// nginxGet measures how often nginx sends the picture in a second.
func nginxGet(ctx context.Context, b *bench, _ string) (float64, error) {
	return b.nginxLoad(ctx, b.picture)
}

// nginxThumbnail measures how often it sends the thumbnail that the server made.
func nginxThumbnail(ctx context.Context, b *bench, _ string) (float64, error) {
	return b.nginxLoad(ctx, b.thumbnail)
}

func (b *bench) nginxLoad(ctx context.Context, picture []byte) (float64, error) {
	return b.rateOfNginx(ctx, picture, func(url string) traffic { return get(url+"/"+pictureName, "") })
}

// nginxPut measures how often nginx takes the picture in a second, each time under a new name.
func nginxPut(ctx context.Context, b *bench, _ string) (float64, error) {
	return b.rateOfNginx(ctx, nil, func(url string) traffic {
		return traffic{url: url, script: "send.lua", args: []string{
			http.MethodPut, "/put/%d.jpg", "image/jpeg", pictureName,
		}}
	})
}

// rateOfNginx measures an nginx that has a picture.
func (b *bench) rateOfNginx(ctx context.Context, picture []byte, trafficTo func(url string) traffic) (rate float64, err error) {
	dir, err := os.MkdirTemp(b.dir, "nginx-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	nginx, err := startNginx(ctx, dir, picture)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, nginx.stop()) }()
	return b.rate(ctx, trafficTo("http://"+nginx.address))
}

func startNginx(ctx context.Context, dir string, picture []byte) (*process, error) {
	program, err := findNginx()
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	err = errors.Join(
		os.Mkdir(filepath.Join(dir, "put"), 0o700),
		os.WriteFile(filepath.Join(dir, pictureName), picture, 0o600),
		os.WriteFile(filepath.Join(dir, "nginx.conf"), fmt.Appendf(nil, nginxConfig, nginxUser(), address), 0o600),
	)
	if err != nil {
		return nil, err
	}
	return startProcess(ctx, dir, address, program, "-p", dir, "-e", "stderr", "-c", "nginx.conf")
}

// nginxUser keeps the workers from becoming a user who may not read the folder, which only root can ask for.
func nginxUser() string {
	if os.Getuid() == 0 {
		return "user root;"
	}
	return ""
}

// findNginx looks where Debian puts it, too, which needn't be in PATH.
func findNginx() (string, error) {
	program, err := exec.LookPath("nginx")
	if err != nil {
		return exec.LookPath("/usr/sbin/nginx")
	}
	return program, nil
}
