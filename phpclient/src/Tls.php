<?php

declare(strict_types=1);

namespace Lvsession;

/**
 * How connections to https:// endpoints are secured. The server's certificate is always verified. Immutable.
 *
 * @internal Options reads it
 */
final class Tls
{
    /** Options that name files. */
    private const FILES = ['ca_file' => 'cafile', 'client_cert' => 'local_cert', 'client_key' => 'local_pk'];

    /** @var array<string, mixed> for stream_context_create() */
    private array $context;

    /**
     * @param array<string, mixed> $context
     */
    private function __construct(array $context)
    {
        $this->context = $context;
    }

    /**
     * @param array<string, mixed> $options of Options; ca_file, client_cert and client_key are read
     *
     * @throws \InvalidArgumentException naming the option that is wrong
     */
    public static function fromOptions(array $options): self
    {
        $context = [];
        foreach (self::FILES as $option => $name) {
            $file = $options[$option];
            if ($file === '') {
                continue;
            }
            if (!is_string($file) || strpos($file, "\0") !== false || !is_readable($file)) {
                throw new \InvalidArgumentException("lvsession: option \"$option\" names no readable file");
            }
            $context[$name] = $file;
        }
        if (isset($context['local_pk']) && !isset($context['local_cert'])) {
            throw new \InvalidArgumentException('lvsession: option "client_key" goes with "client_cert"');
        }
        return new self($context);
    }

    /**
     * @return array<string, mixed> what the context option ssl holds
     */
    public function context(): array
    {
        return $this->context + ['verify_peer' => true, 'verify_peer_name' => true, 'disable_compression' => true];
    }

    /** Differs between settings: a connection made under one of them must not serve another. */
    public function fingerprint(): string
    {
        return substr(hash('sha256', serialize($this->context)), 0, 16);
    }
}
