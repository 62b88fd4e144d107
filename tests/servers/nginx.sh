# nginx as a proxy of mail, from the distribution, before a Dovecot.

get() { debian_with nginx libnginx-mod-mail; }

run() {
    [ -n "${BEHIND:-}" ] || dovecot_behind
    mkdir -p "$dir/temp"
    local asked module
    asked=$(free_port)
    module=$(find "$prefix" -name ngx_mail_module.so)
    cat >"$dir/nginx.conf" <<CONF
load_module $module;
daemon off;
worker_processes 1;
pid $dir/pid;
error_log $dir/error.log;
events { }
http {
  access_log off;
  client_body_temp_path $dir/temp/body;
  proxy_temp_path $dir/temp/proxy;
  fastcgi_temp_path $dir/temp/fastcgi;
  uwsgi_temp_path $dir/temp/uwsgi;
  scgi_temp_path $dir/temp/scgi;
  server {
    listen 127.0.0.1:$asked;
    location / {
      add_header Auth-Status OK;
      add_header Auth-Server 127.0.0.1;
      add_header Auth-Port $BEHIND;
      return 200;
    }
  }
}
mail {
  auth_http 127.0.0.1:$asked/;
  imap_capabilities IMAP4rev1 LITERAL+ SASL-IR UIDPLUS;
  server {
    listen 127.0.0.1:$PORT;
    protocol imap;
  }
}
CONF
    LD_LIBRARY_PATH=$(library_path "$prefix") launch "$prefix/usr/sbin/nginx" \
        -e "$dir/error.log" -c "$dir/nginx.conf"
}
