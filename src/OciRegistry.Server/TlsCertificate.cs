using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace OciRegistry.Server;

/// <summary>A certificate with its chain and key, out of files that may be replaced while the server runs.</summary>
internal sealed class TlsCertificate
{
    private readonly string _path;
    private readonly string? _keyPath;
    private readonly string? _password;
    private byte[] _seen;
    private bool _isLoaded = true;
    private volatile SslStreamCertificateContext _context;

    /// <param name="section">Kestrel's settings of a certificate: Path, and KeyPath or Password.</param>
    /// <exception cref="CryptographicException">The files cannot be used.</exception>
    public TlsCertificate(IConfigurationSection section)
    {
        (_path, _keyPath, _password) = (section["Path"]!, section["KeyPath"], section["Password"]);
        _seen = Hash();
        _context = Load();
    }

    public string Path => _path;

    /// <summary>What new connections are greeted with.</summary>
    public SslStreamCertificateContext Context => _context;

    /// <summary>When the certificate that is shown expires.</summary>
    public DateTimeOffset Expiry => Context.TargetCertificate.NotAfter;

    /// <summary>Whether the files were such, at the last look, that they cannot be used.</summary>
    public bool IsRejected { get; private set; }

    /// <summary>Looks at the files once more; whether there is another certificate since.</summary>
    /// <exception cref="CryptographicException">They cannot be used; the certificate stays what it was.</exception>
    public bool Refresh()
    {
        IsRejected = true; // unless all of it goes well
        var hash = Hash();
        if (hash.AsSpan().SequenceEqual(_seen))
        {
            IsRejected = !_isLoaded;
            return false;
        }

        // Certificate and key are replaced one after the other: what does not go together may a second later.
        (_seen, _isLoaded) = (hash, false);
        _context = Load();
        (_isLoaded, IsRejected) = (true, false);
        return true;
    }

    private byte[] Hash()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(File.ReadAllBytes(_path));
        hash.AppendData(_keyPath is null ? [] : File.ReadAllBytes(_keyPath));
        return hash.GetHashAndReset();
    }

    private SslStreamCertificateContext Load()
    {
        var chain = new X509Certificate2Collection();
        X509Certificate2 certificate;
        if (_keyPath is null)
        {
            chain = X509CertificateLoader.LoadPkcs12CollectionFromFile(_path, _password);
            certificate = chain.FirstOrDefault(one => one.HasPrivateKey)
                ?? throw new CryptographicException("There is no private key in it.");
        }
        else
        {
            certificate = _password is null
                ? X509Certificate2.CreateFromPemFile(_path, _keyPath)
                : X509Certificate2.CreateFromEncryptedPemFile(_path, _password, _keyPath);
            chain.ImportFromPemFile(_path);
        }

        chain.Remove(certificate);
        return SslStreamCertificateContext.Create(certificate, chain, offline: true);
    }
}
