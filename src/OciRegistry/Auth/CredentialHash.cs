using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;

namespace OciRegistry.Auth;

/// <summary>A credential as the key of a cache: a keyed hash, so that a dump of the memory tells no credential.</summary>
internal readonly record struct CredentialHash(UInt128 First, UInt128 Second)
{
    private static readonly byte[] Key = RandomNumberGenerator.GetBytes(32);

    public static CredentialHash Of(string credential)
    {
        Span<byte> hash = stackalloc byte[32];
        HMACSHA256.HashData(Key, Encoding.UTF8.GetBytes(credential), hash);
        return MemoryMarshal.Read<CredentialHash>(hash);
    }
}
