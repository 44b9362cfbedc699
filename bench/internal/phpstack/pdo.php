<?php

/**
 * A session handler in a database, as careful as Symfony's PdoSessionHandler: the row is locked by a transaction from
 * read to close, on a kept connection.
 */

declare(strict_types=1);

final class DatabaseSessions implements SessionHandlerInterface
{
    private ?PDO $db = null;
    private bool $exists = false;

    public function open($path, $name): bool
    {
        $this->db = new PDO((string) getenv('PDO_DSN'), (string) getenv('PDO_USER'), (string) getenv('PDO_PASSWORD'), [
            PDO::ATTR_PERSISTENT => true,
            PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
        ]);
        return true;
    }

    public function close(): bool
    {
        if ($this->db !== null && $this->db->inTransaction()) {
            $this->db->commit();
        }
        return true;
    }

    #[\ReturnTypeWillChange]
    public function read($id)
    {
        $this->db->exec('SET TRANSACTION ISOLATION LEVEL READ COMMITTED'); // else new sessions lock each other's gaps
        $this->db->beginTransaction();
        $row = $this->db->prepare('SELECT data FROM pdo_sessions WHERE id = ? AND expires > ? FOR UPDATE');
        $row->execute([$id, time()]);
        $data = $row->fetchColumn();
        $this->exists = $data !== false;
        return (string) $data;
    }

    public function write($id, $data): bool
    {
        $expires = time() + (int) ini_get('session.gc_maxlifetime');
        $change = $this->exists
            ? $this->db->prepare('UPDATE pdo_sessions SET data = ?, expires = ? WHERE id = ?')
            : $this->db->prepare('INSERT INTO pdo_sessions (data, expires, id) VALUES (?, ?, ?)');
        return $change->execute([$data, $expires, $id]);
    }

    public function destroy($id): bool
    {
        return $this->db->prepare('DELETE FROM pdo_sessions WHERE id = ?')->execute([$id]);
    }

    #[\ReturnTypeWillChange]
    public function gc($lifetime)
    {
        $expired = $this->db->prepare('DELETE FROM pdo_sessions WHERE expires <= ?');
        $expired->execute([time()]);
        return $expired->rowCount();
    }
}

session_set_save_handler(new DatabaseSessions(), true);
