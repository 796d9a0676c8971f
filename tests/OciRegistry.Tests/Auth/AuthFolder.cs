using System.Security.Cryptography;

namespace OciRegistry.Tests.Auth;

/// <summary>A folder with the files that say who may do what.</summary>
internal sealed class AuthFolder : IDisposable
{
    public const string AlicesPassword = "wonder:land";
    public const string BobsPassword = "builder";

    private readonly string _folder = Directory.CreateTempSubdirectory("oci-registry-").FullName;

    public AuthFolder() => SetUsers(("alice", AlicesPassword), ("bob", BobsPassword));

    public string Htpasswd => Path.Combine(_folder, "htpasswd");

    public string PolicyFile => Path.Combine(_folder, "policies.json");

    public string SigningKeys => Path.Combine(_folder, "keys.pem");

    /// <summary>Whose password it is: what tokens say of it.</summary>
    public string CredentialOf(string user) =>
        OciRegistry.Auth.Htpasswd.Parse(Htpasswd, File.ReadAllBytes(Htpasswd)).Find(user)!.Credential;

    /// <summary>The users, at the least cost.</summary>
    public void SetUsers(params (string Name, string Password)[] users) => File.WriteAllLines(
        Htpasswd, users.Select(user => $"{user.Name}:{HashOf(user.Password, OciRegistry.Auth.Htpasswd.MinCost)}"));

    public static string HashOf(string password, int cost) => BCrypt.Net.BCrypt.HashPassword(password, cost);

    public void SetPolicies(string json) => File.WriteAllText(PolicyFile, json);

    /// <summary>The keys that sign, the first of them, and verify.</summary>
    public void SetKeys(params ECDsa[] keys) =>
        File.WriteAllText(SigningKeys, string.Join('\n', keys.Select(key => key.ExportPkcs8PrivateKeyPem())));

    public static ECDsa NewKey() => ECDsa.Create(ECCurve.NamedCurves.nistP256);

    /// <summary>The files that there are, and no waiting after a failed login.</summary>
    public void Configure(AuthOptions auth)
    {
        auth.Htpasswd = Htpasswd;
        auth.PolicyFile = File.Exists(PolicyFile) ? PolicyFile : null;
        auth.Tokens.SigningKeys = File.Exists(SigningKeys) ? SigningKeys : null;
        auth.FailedLoginDelay = TimeSpan.Zero;
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
