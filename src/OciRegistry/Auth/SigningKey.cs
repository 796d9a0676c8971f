using System.Security.Cryptography;
using Microsoft.IdentityModel.Tokens;

namespace OciRegistry.Auth;

/// <summary>A key that tokens are signed with: ES256, an EC key on P-256.</summary>
internal sealed class SigningKey
{
    private SigningKey(ECDsa key, DateTimeOffset signsFrom)
    {
        var parameters = key.ExportParameters(includePrivateParameters: false);
        (X, Y) = (Base64UrlEncoder.Encode(parameters.Q.X), Base64UrlEncoder.Encode(parameters.Q.Y));

        // RFC 7638: the same id on every replica and whenever the key is read.
        Id = Base64UrlEncoder.Encode(SHA256.HashData(System.Text.Encoding.ASCII.GetBytes(
            $$"""{"crv":"P-256","kty":"EC","x":"{{X}}","y":"{{Y}}"}""")));
        Key = new ECDsaSecurityKey(key) { KeyId = Id };
        SignsFrom = signsFrom;
    }

    /// <summary>RFC 7638's thumbprint.</summary>
    public string Id { get; }

    public string X { get; }

    public string Y { get; }

    public ECDsaSecurityKey Key { get; }

    /// <summary>Others have to have seen it before anything is signed with it.</summary>
    public DateTimeOffset SignsFrom { get; }

    public static SigningKey Create(DateTimeOffset signsFrom) =>
        new(ECDsa.Create(ECCurve.NamedCurves.nistP256), signsFrom);

    /// <exception cref="CryptographicException">It is no such key.</exception>
    public static SigningKey FromPkcs8(byte[] pkcs8, DateTimeOffset signsFrom)
    {
        var key = ECDsa.Create();
        key.ImportPkcs8PrivateKey(pkcs8, out _);
        return new SigningKey(key, signsFrom);
    }

    /// <summary>The keys of a PEM file, in its order.</summary>
    /// <exception cref="UnusableFileException">It has none, or others.</exception>
    public static IReadOnlyList<SigningKey> FromPem(string path, byte[] content)
    {
        var keys = new List<SigningKey>();
        var text = System.Text.Encoding.ASCII.GetString(content).AsSpan();
        while (PemEncoding.TryFind(text, out var fields))
        {
            if (text[fields.Label].ToString() is "PRIVATE KEY" or "EC PRIVATE KEY")
            {
                var key = ECDsa.Create();
                try
                {
                    key.ImportFromPem(text[fields.Location]);
                }
                catch (Exception e) when (e is CryptographicException or ArgumentException)
                {
                    throw NotUsable();
                }

                if (key.ExportParameters(false).Curve is not { IsNamed: true, Oid.Value: "1.2.840.10045.3.1.7" })
                {
                    throw NotUsable();
                }

                keys.Add(new SigningKey(key, DateTimeOffset.MinValue));
            }

            text = text[fields.Location.End..];
        }

        return keys.Count > 0 ? keys : throw NotUsable();

        UnusableFileException NotUsable() => new(
            path,
            [
                "It has no private EC key on P-256 that can be read. Make one with: "
                + "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256",
            ]);
    }

    public byte[] ToPkcs8() => Key.ECDsa.ExportPkcs8PrivateKey();
}
