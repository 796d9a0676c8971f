using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace OciRegistry;

/// <summary>
/// 128 random bits, for the versions of documents and the names of files. <see cref="Guid.NewGuid"/> asks the system for each
/// one; a push needs twenty.
/// </summary>
internal static class UniqueId
{
    private const int Most = 256;

    [ThreadStatic]
    private static Guid[]? _ids;

    [ThreadStatic]
    private static int _left;

    public static Guid New()
    {
        if (_left == 0)
        {
            RandomNumberGenerator.Fill(MemoryMarshal.AsBytes((_ids ??= new Guid[Most]).AsSpan()));
            _left = Most;
        }

        return _ids![--_left];
    }
}
