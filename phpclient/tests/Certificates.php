<?php

declare(strict_types=1);

namespace Lvsession\Tests;

/**
 * A CA with a certificate for 127.0.78.1 and another one for a client, in files that go with this object.
 */
final class Certificates
{
    /** The CA's certificate. */
    public string $ca;

    /** The server's certificate and key. */
    public string $server;

    /** A client's certificate and key. */
    public string $client;

    private string $folder;

    public function __construct()
    {
        $this->folder = sys_get_temp_dir() . '/lvsession-tls-' . bin2hex(random_bytes(6));
        mkdir($this->folder, 0700);
        $config = "$this->folder/openssl.cnf";
        file_put_contents($config, "[req]\ndistinguished_name=dn\n[dn]\n"
            . "[ca]\nbasicConstraints=critical,CA:true\n[server]\nsubjectAltName=IP:127.0.78.1\n"
            . "[client]\nsubjectAltName=DNS:client.test\n");
        [$ca, $caKey] = $this->certificate('ca', $config, null, null);
        foreach (['server', 'client'] as $who) {
            [$certificate, $key] = $this->certificate($who, $config, $ca, $caKey);
            $this->$who = $this->write($who, $certificate . $key);
        }
        $this->ca = $this->write('ca', $ca);
    }

    public function __destruct()
    {
        array_map('unlink', glob("$this->folder/*") ?: []);
        rmdir($this->folder);
    }

    /**
     * @return array{0: string, 1: string} certificate and key, PEM
     */
    private function certificate(string $who, string $config, ?string $ca, ?string $caKey): array
    {
        $options = [
            'config' => $config, 'private_key_type' => OPENSSL_KEYTYPE_EC, 'curve_name' => 'prime256v1',
            'private_key_bits' => 2048, // of no use to the curve, but PHP checks it
        ];
        $key = openssl_pkey_new($options);
        openssl_pkey_export($key, $keyPem, null, $options);
        $request = openssl_csr_new(['commonName' => $who], $key, $options + ['digest_alg' => 'sha256']);
        $extensions = ['digest_alg' => 'sha256', 'x509_extensions' => $who] + $options;
        $signed = openssl_csr_sign($request, $ca, $caKey ?? $key, 30, $extensions, random_int(1, PHP_INT_MAX));
        openssl_x509_export($signed, $pem);
        return [$pem, $keyPem];
    }

    private function write(string $who, string $pem): string
    {
        file_put_contents("$this->folder/$who.pem", $pem);
        return "$this->folder/$who.pem";
    }
}
