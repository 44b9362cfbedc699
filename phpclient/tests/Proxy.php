<?php

declare(strict_types=1);

namespace Lvsession\Tests;

/**
 * A proxy in front of the real sessiond that breaks requests by plan, one word for each, and passes all further ones:
 *
 * pass      forward the request and the answer
 * refuse    close the connection without forwarding the request
 * lose      forward the request, then close the connection without an answer
 * half      forward the request, send half of the answer, close
 * stall     forward the request, send half of the answer, keep the connection
 * flood     send an answer that claims to be larger than any
 * excess    forward the request, send the answer and a byte more
 * busy      answer 503 as a draining sessiond does
 * stranger  answer 404 as some other web server does
 */
final class Proxy
{
    /** Where it listens. */
    public string $http;

    private Process $process;

    /**
     * @param string ...$tls the server's certificate and key in one file, if it is to speak TLS, and the CA of the
     *                       clients' certificates, if it is to ask for them
     */
    public function __construct(string $plan, string ...$tls)
    {
        $script = __DIR__ . '/scripts/proxy.php';
        $target = str_replace('http://', 'tcp://', Sessiond::shared()->http);
        $this->process = new Process(array_merge([PHP_BINARY, $script, $target, $plan], $tls));
        $this->http = ($tls === [] ? 'http://' : 'https://') . $this->process->line();
    }
}
