<?php

declare(strict_types=1);

namespace Lvsession\Tests;

/**
 * PHP's files handler as a class. PHP's own SessionHandler leaves out two of its functions: what they do here is what
 * ps_validate_sid_files and ps_update_timestamp_files do in ext/session/mod_files.c.
 */
class FilesHandler extends \SessionHandler implements \SessionUpdateTimestampHandlerInterface
{
    public function validateId($id): bool
    {
        clearstatcache();
        return preg_match('~^[A-Za-z0-9,-]+$~D', $id) === 1 && is_file(session_save_path() . "/sess_$id");
    }

    public function updateTimestamp($id, $data): bool
    {
        $file = session_save_path() . "/sess_$id";
        return is_file($file) ? touch($file) : $this->write($id, $data);
    }
}
