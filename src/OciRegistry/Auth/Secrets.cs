using System.Security.Cryptography;
using System.Text;

namespace OciRegistry.Auth;

internal static class Secrets
{
    /// <summary>Enough to tell one stored hash from another, and nothing to compute any from.</summary>
    public static string Fingerprint(string hash) =>
        Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(hash)).AsSpan(0, 8));
}
